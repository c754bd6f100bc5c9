//! Pages of Markdown as a static site: no scripts, no fonts, nothing from elsewhere.
//!
//! It knows the Markdown that our own pages are written in, and no other: headings, paragraphs, lists,
//! tables, fenced code; and within lines code, bold and links.

use std::fmt::Write as _;

use crate::script::Page;

const STYLE: &str = include_str!("style.css");

/// The files of a site, by name.
pub(super) fn site(pages: &[Page]) -> Vec<(String, String)> {
    let file = |page: &Page| match page.name.as_str() {
        "guide" => "index.html".to_owned(),
        name => format!("{name}.html"),
    };
    let links: String = pages.iter().fold(String::new(), |mut links, page| {
        let _ = writeln!(
            links,
            "<a href=\"{}\">{}</a>",
            file(page),
            escaped(&page.title)
        );
        links
    });
    let mut files: Vec<(String, String)> = pages
        .iter()
        .map(|page| {
            let title = escaped(&page.title);
            let body = body(&page.markdown);
            let html = format!(
                "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
                 <meta name=\"viewport\" content=\"width=device-width\">\n\
                 <title>{title} - MassMediaFactory</title>\n\
                 <link rel=\"stylesheet\" href=\"style.css\">\n</head>\n<body>\n\
                 <nav>\n{links}</nav>\n<main>\n{body}</main>\n</body>\n</html>\n"
            );
            (file(page), html)
        })
        .collect();
    files.push(("style.css".to_owned(), STYLE.to_owned()));
    files
}

/// What stands between the body's tags.
fn body(markdown: &str) -> String {
    let mut html = String::new();
    let mut lines = markdown.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("```") {
            let code: Vec<&str> = lines
                .by_ref()
                .take_while(|line| !line.trim_start().starts_with("```"))
                .collect();
            let _ = writeln!(
                html,
                "<pre><code>{}</code></pre>",
                escaped(&code.join("\n"))
            );
        } else if let Some(heading) = line.strip_prefix("## ") {
            let (id, text) = (id(heading), inline(heading));
            let _ = writeln!(html, "<h2 id=\"{id}\"><a href=\"#{id}\">{text}</a></h2>");
        } else if let Some(heading) = line.strip_prefix("# ") {
            let _ = writeln!(html, "<h1>{}</h1>", inline(heading));
        } else if line.starts_with('|') {
            let mut rows = vec![line];
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(row);
            }
            html += &table(&rows);
        } else if let Some(item) = line.strip_prefix("- ") {
            let _ = writeln!(html, "<ul>\n<li>{}</li>", inline(item));
            while let Some(item) = lines.next_if(|line| line.starts_with("- ")) {
                let _ = writeln!(html, "<li>{}</li>", inline(&item[2..]));
            }
            html += "</ul>\n";
        } else if !line.trim().is_empty() {
            let mut paragraph = line.to_owned();
            while let Some(line) = lines.next_if(|line| continues(line)) {
                paragraph.push(' ');
                paragraph.push_str(line);
            }
            let _ = writeln!(html, "<p>{}</p>", inline(&paragraph));
        }
    }
    html
}

/// Whether a line goes on with a paragraph.
fn continues(line: &str) -> bool {
    let begins = ["```", "# ", "## ", "|", "- "];
    !line.trim().is_empty() && !begins.iter().any(|begin| line.starts_with(begin))
}

fn table(rows: &[&str]) -> String {
    let mut html = "<table>\n".to_owned();
    for (index, row) in rows.iter().enumerate().filter(|(index, _)| *index != 1) {
        let tag = if index == 0 { "th" } else { "td" };
        html += "<tr>";
        for cell in cells(row) {
            let _ = write!(html, "<{tag}>{}</{tag}>", inline(&cell));
        }
        html += "</tr>\n";
    }
    html + "</table>\n"
}

fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|');
    let row = row.strip_suffix('|').unwrap_or(row).replace("\\|", "\u{0}");
    let cells = row.split('|');
    cells
        .map(|cell| cell.trim().replace('\u{0}', "|"))
        .collect()
}

/// A line's code, bold and links.
fn inline(text: &str) -> String {
    let mut html = String::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            let _ = write!(html, "<code>{}</code>", escaped(part));
        } else {
            html += &words(part);
        }
    }
    html
}

fn words(text: &str) -> String {
    let text = escaped(text);
    let mut html = String::new();
    for (index, part) in text.split("**").enumerate() {
        if index > 0 {
            html += if index % 2 == 1 {
                "<strong>"
            } else {
                "</strong>"
            };
        }
        html += &linked(part);
    }
    html
}

fn linked(text: &str) -> String {
    let Some((before, rest)) = text.split_once('[') else {
        return text.to_owned();
    };
    let link = rest.split_once("](").and_then(|(shown, rest)| {
        let (address, behind) = rest.split_once(')')?;
        Some((shown, address, behind))
    });
    match link {
        Some((shown, address, behind)) => {
            format!(
                "{before}<a href=\"{address}\">{shown}</a>{}",
                linked(behind)
            )
        }
        None => text.to_owned(),
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

fn id(heading: &str) -> String {
    let letter = |c: char| if c.is_alphanumeric() { c } else { '-' };
    heading.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_markdown_becomes_html_that_shows_what_was_written() {
        let text = "# Fox\n\nOne **bold** `a < b`\nline, [there](x.html).\n\n```rhai\nif a < b { }\n```\n\n\
                    | a | b |\n|---|---|\n| `x\\|y` | 2 |\n\n- one\n- two\n\n## comfy::run\n";
        insta::assert_snapshot!(body(text), @r##"
        <h1>Fox</h1>
        <p>One <strong>bold</strong> <code>a &lt; b</code> line, <a href="x.html">there</a>.</p>
        <pre><code>if a &lt; b { }</code></pre>
        <table>
        <tr><th>a</th><th>b</th></tr>
        <tr><td><code>x|y</code></td><td>2</td></tr>
        </table>
        <ul>
        <li>one</li>
        <li>two</li>
        </ul>
        <h2 id="comfy--run"><a href="#comfy--run">comfy::run</a></h2>
        "##);
    }
}
