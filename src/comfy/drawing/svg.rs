//! A workflow as a picture that needs nothing else: no fonts, no scripts, no style sheets.
//!
//! Dark nodes on no ground, so that it can stand on a light page as well as on a dark one.

use std::fmt::Write;

use super::colours::{of_link, of_title};
use super::shape::{Field, PROSE, PROSE_LINE, Shape, Socket};
use super::telling::{letters_of, lines, short, shortened};
use super::{Drawing, Group, Look, TITLE, Wire};
use crate::comfy::Workflow;
use crate::comfy::nodes::NodeFacts;

/// Around everything.
const MARGIN: f64 = 24.0;

/// The width of a letter in a title, and of one elsewhere.
const TITLE_LETTER: f64 = 8.2;
const LETTER: f64 = 6.8;

/// The picture of a workflow, whatever is known of its classes.
#[must_use]
pub fn to_svg(workflow: &Workflow, facts: &NodeFacts) -> String {
    Svg::of(&Drawing::of(workflow, facts, Look::Picture))
}

struct Svg {
    text: String,
}

impl Svg {
    fn of(drawing: &Drawing<'_>) -> String {
        let groups = drawing.groups.iter();
        let left = groups.clone().map(|group| group.x).fold(0.0, f64::min) - MARGIN;
        let top = groups.clone().map(|group| group.y).fold(0.0, f64::min) - MARGIN;
        let right = groups.clone().map(|group| group.x + group.width);
        let right = right.fold(drawing.width, f64::max) + MARGIN;
        let bottom = groups.map(|group| group.y + group.height);
        let bottom = bottom.fold(drawing.height, f64::max) + MARGIN;
        let (width, height) = (right - left, bottom - top);
        let mut svg = Self {
            text: String::new(),
        };
        svg.line(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"{left} {top} {width} {height}\" role=\"img\" \
             font-family=\"Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif\" \
             font-size=\"12\">"
        ));
        let nodes = drawing.shapes.len();
        let plural = if nodes == 1 { "" } else { "s" };
        svg.line(format_args!(
            "<title>A workflow of {nodes} node{plural}</title>"
        ));
        for group in &drawing.groups {
            svg.group(group);
        }
        svg.line(format_args!(
            "<g fill=\"none\" stroke-width=\"2.5\" stroke-linecap=\"round\">"
        ));
        for wire in &drawing.wires {
            svg.wire(drawing, wire);
        }
        svg.line(format_args!("</g>"));
        for shape in &drawing.shapes {
            svg.node(shape);
        }
        svg.line(format_args!("</svg>"));
        svg.text
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing into a string does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn group(&mut self, group: &Group) {
        let Group {
            title,
            x,
            y,
            width,
            height,
        } = group;
        self.line(format_args!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"14\" \
             fill=\"#7d8aa0\" fill-opacity=\"0.10\" stroke=\"#7d8aa0\" stroke-opacity=\"0.45\"/>"
        ));
        self.line(format_args!(
            "<text x=\"{}\" y=\"{}\" font-size=\"15\" font-weight=\"600\" fill=\"#7d8aa0\">{title}</text>",
            x + 18.0,
            y + 27.0
        ));
    }

    fn wire(&mut self, drawing: &Drawing<'_>, wire: &Wire) {
        let (from, to) = (&drawing.shapes[wire.from], &drawing.shapes[wire.to]);
        let (x1, y1) = (from.x + from.width, from.y + from.outputs[wire.output].y);
        let (x2, y2) = (to.x, to.y + to.inputs[wire.input].y);
        let mut way = format!("M{x1} {y1}");
        let mut at = (x1, y1);
        for lane in &wire.way {
            curve(&mut way, at, (lane.left, lane.y));
            let _ = write!(way, " H{}", lane.right);
            at = (lane.right, lane.y);
        }
        curve(&mut way, at, (x2, y2));
        self.line(format_args!(
            "<path d=\"{way}\" stroke=\"{}\"/>",
            of_link(&wire.io_type)
        ));
    }

    fn node(&mut self, shape: &Shape<'_>) {
        let Shape {
            x, width, height, ..
        } = *shape;
        let top = shape.y - TITLE;
        let whole = height + TITLE;
        self.line(format_args!("<g>"));
        self.line(format_args!(
            "<title>{}</title>",
            escaped(&format!("{} ({})", shape.class, shape.id))
        ));
        self.line(format_args!(
            "<rect x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{whole}\" rx=\"9\" fill=\"#262a33\"/>"
        ));
        self.line(format_args!(
            "<path d=\"M{x} {} v{} a9 9 0 0 1 9 -9 h{} a9 9 0 0 1 9 9 v{} z\" fill=\"{}\"/>",
            shape.y,
            9.0 - TITLE,
            width - 18.0,
            TITLE - 9.0,
            of_title(shape)
        ));
        self.line(format_args!(
            "<rect x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{whole}\" rx=\"9\" fill=\"none\" \
             stroke=\"#8a94a6\" stroke-opacity=\"0.35\"/>"
        ));
        let id = shortened(shape.id, 10);
        let room = width - 36.0 - LETTER * count(&id);
        self.line(format_args!(
            "<text x=\"{}\" y=\"{}\" font-size=\"13\" font-weight=\"600\" fill=\"#ffffff\">{}</text>",
            x + 12.0,
            shape.y - 10.0,
            escaped(&shortened(shape.title(), letters(room, TITLE_LETTER)))
        ));
        self.line(format_args!(
            "<text x=\"{}\" y=\"{}\" font-size=\"11\" text-anchor=\"end\" fill=\"#ffffff\" \
             fill-opacity=\"0.6\">{}</text>",
            x + width - 11.0,
            shape.y - 10.5,
            escaped(&id)
        ));
        for input in &shape.inputs {
            self.socket(input, (x, shape.y + input.y), true);
        }
        for output in &shape.outputs {
            self.socket(output, (x + width, shape.y + output.y), false);
        }
        let fields: f64 = shape.fields.iter().map(|field| field.height).sum();
        let mut y = shape.y + height - 10.0 - fields;
        for field in &shape.fields {
            self.field(field, (x, y), width);
            y += field.height;
        }
        self.line(format_args!("</g>"));
    }

    fn socket(&mut self, socket: &Socket, (x, y): (f64, f64), is_input: bool) {
        let colour = of_link(&socket.io_type);
        let dot = if socket.is_linked {
            format!("fill=\"{colour}\"")
        } else {
            format!("fill=\"#262a33\" stroke=\"{colour}\" stroke-width=\"1.5\"")
        };
        self.line(format_args!(
            "<circle cx=\"{x}\" cy=\"{y}\" r=\"4.5\" {dot}/>"
        ));
        let (text_x, anchor) = if is_input {
            (x + 12.0, "start")
        } else {
            (x - 12.0, "end")
        };
        self.line(format_args!(
            "<text x=\"{text_x}\" y=\"{}\" text-anchor=\"{anchor}\" fill=\"#c5cad3\">{}</text>",
            y + 4.0,
            escaped(&shortened(&socket.name, 22))
        ));
    }

    fn field(&mut self, field: &Field, (x, y): (f64, f64), width: f64) {
        if let Some(lines) = lines(field, PROSE) {
            let mut base = y + 14.0;
            for line in lines {
                self.line(format_args!(
                    "<text x=\"{}\" y=\"{base}\" font-style=\"italic\" fill=\"#eceef1\">{}</text>",
                    x + 12.0,
                    escaped(&line)
                ));
                base += PROSE_LINE;
            }
            return;
        }
        let base = y + 14.0;
        let value = short(field);
        let room = width - 34.0 - LETTER * count(&value);
        self.line(format_args!(
            "<text x=\"{}\" y=\"{base}\" fill=\"#8f98a6\">{}</text>",
            x + 12.0,
            escaped(&shortened(&field.name, letters(room, LETTER).max(4)))
        ));
        self.line(format_args!(
            "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\" fill=\"#eceef1\">{}</text>",
            x + width - 12.0,
            escaped(&value)
        ));
    }
}

fn curve(way: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let bend = ((x2 - x1) / 2.0).max(20.0);
    let _ = write!(way, " C{} {y1} {} {y2} {x2} {y2}", x1 + bend, x2 - bend);
}

fn count(text: &str) -> f64 {
    f64::from(u16::try_from(letters_of(text)).unwrap_or(u16::MAX))
}

/// How many letters of a width there is room for.
fn letters(room: f64, letter: f64) -> usize {
    let mut fit = 0;
    while f64::from(u16::try_from(fit + 1).unwrap_or(u16::MAX)) * letter <= room && fit < 200 {
        fit += 1;
    }
    fit.max(3)
}

/// A text as XML takes it.
fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '"' => written.push_str("&quot;"),
            // No XML text may have these.
            char if char.is_control() || matches!(char, '\u{fffe}' | '\u{ffff}') => {
                written.push(' ');
            }
            char => written.push(char),
        }
    }
    written
}
