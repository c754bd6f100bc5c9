//! Which cell stands where, and on which page.

use super::{Drawn, Sheet, SheetAxis, SheetCell};

/// More cells than this in a row or column are too small to be judged where sheets are shown 512
/// pixels across.
const MOST: usize = 8;

/// One sheet: rows of cells, with what is written around them.
#[derive(Clone, Debug)]
pub(super) struct Page<C> {
    /// Which of several it is.
    pub(super) number: Option<String>,
    /// What runs across.
    pub(super) heading: String,
    /// Its values; none where each cell has a caption.
    pub(super) columns: Vec<String>,
    /// What runs down, the outermost first.
    pub(super) row_names: Vec<String>,
    pub(super) rows: Vec<Row<C>>,
    /// The assets that it shows.
    pub(super) assets: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Row<C> {
    /// One for each of [`Page::row_names`].
    pub(super) labels: Vec<String>,
    /// One for each cell, or none at all.
    pub(super) captions: Vec<String>,
    pub(super) cells: Vec<C>,
}

impl<'s> Page<&'s SheetCell> {
    fn of(
        heading: &str,
        columns: Vec<String>,
        row_names: Vec<String>,
        rows: Vec<Row<&'s SheetCell>>,
    ) -> Self {
        let cells = rows.iter().flat_map(|row| &row.cells);
        let assets = cells.filter_map(|cell| match cell {
            SheetCell::Asset(id) => Some(id.clone()),
            SheetCell::Empty(_) => None,
        });
        Self {
            number: None,
            heading: heading.to_owned(),
            assets: assets.collect(),
            columns,
            row_names,
            rows,
        }
    }

    /// The page with its cells as they are drawn.
    pub(super) fn map(self, mut draw: impl FnMut(&SheetCell) -> Drawn) -> Page<Drawn> {
        let rows = self.rows.into_iter().map(|row| Row {
            labels: row.labels,
            captions: row.captions,
            cells: row.cells.into_iter().map(&mut draw).collect(),
        });
        Page {
            rows: rows.collect(),
            number: self.number,
            heading: self.heading,
            columns: self.columns,
            row_names: self.row_names,
            assets: self.assets,
        }
    }
}

/// The pages of a sheet. What does not vary is not written.
pub(super) fn pages(sheet: &Sheet) -> Vec<Page<&SheetCell>> {
    let varied: Vec<&SheetAxis> = sheet
        .axes
        .iter()
        .filter(|axis| axis.values.len() > 1)
        .collect();
    match varied.split_last() {
        Some((across, down)) if !down.is_empty() => grid(sheet, across, down),
        Some((only, _)) => captioned(sheet, only),
        None => {
            let none = SheetAxis::default();
            captioned(sheet, &none)
        }
    }
}

fn grid<'s>(sheet: &'s Sheet, across: &SheetAxis, down: &[&SheetAxis]) -> Vec<Page<&'s SheetCell>> {
    let wide = across.values.len();
    let names: Vec<String> = down.iter().map(|axis| axis.name.clone()).collect();
    let rows: Vec<usize> = (0..sheet.cells.len() / wide).collect();
    let columns: Vec<usize> = (0..wide).collect();
    let mut pages = vec![];
    for rows in even(&rows) {
        for columns in even(&columns) {
            let rows = rows.iter().map(|row| Row {
                labels: labels(down, *row),
                captions: vec![],
                cells: columns
                    .iter()
                    .map(|at| &sheet.cells[row * wide + at])
                    .collect(),
            });
            let values = columns.iter().map(|at| across.values[*at].clone());
            pages.push(Page::of(
                &across.name,
                values.collect(),
                names.clone(),
                rows.collect(),
            ));
        }
    }
    pages
}

/// The values of the axes that run down, at a row.
fn labels(down: &[&SheetAxis], row: usize) -> Vec<String> {
    let mut span: usize = down.iter().map(|axis| axis.values.len()).product();
    down.iter()
        .map(|axis| {
            span /= axis.values.len();
            axis.values[row / span % axis.values.len()].clone()
        })
        .collect()
}

fn captioned<'s>(sheet: &'s Sheet, axis: &SheetAxis) -> Vec<Page<&'s SheetCell>> {
    let cells: Vec<usize> = (0..sheet.cells.len()).collect();
    let pages = cells.chunks(MOST * MOST);
    pages
        .map(|cells| {
            let wide = across(cells.len());
            let rows = cells.chunks(wide).map(|row| Row {
                labels: vec![],
                captions: row
                    .iter()
                    .filter_map(|at| axis.values.get(*at).cloned())
                    .collect(),
                cells: row.iter().map(|at| &sheet.cells[*at]).collect(),
            });
            Page::of(&axis.name, vec![], vec![], rows.collect())
        })
        .collect()
}

/// How many of so many stand in a row: about as many as there are rows, all rows full if that can
/// be.
fn across(count: usize) -> usize {
    let square = (1..=MOST).find(|side| side * side >= count).unwrap_or(MOST);
    let full = (square..=(square + 1).min(MOST)).find(|wide| count.is_multiple_of(*wide));
    full.unwrap_or(square)
}

/// Parts of at most [`MOST`], as equal as can be.
fn even<T>(all: &[T]) -> impl Iterator<Item = &[T]> {
    let parts = all.len().div_ceil(MOST).max(1);
    all.chunks(all.len().div_ceil(parts).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(name: &str, count: usize) -> SheetAxis {
        SheetAxis {
            name: name.to_owned(),
            values: (0..count).map(|at| format!("{name}{at}")).collect(),
        }
    }

    fn sheet(sizes: &[usize]) -> Sheet {
        let axes: Vec<_> = ["A", "B", "C"]
            .iter()
            .zip(sizes)
            .map(|(name, size)| axis(name, *size))
            .collect();
        let mut sheet = Sheet {
            axes,
            cells: vec![],
        };
        let ids = 0..sheet.size();
        sheet.cells = ids.map(|id| SheetCell::Asset(id.to_string())).collect();
        sheet
    }

    #[test]
    fn each_cell_stands_once_where_its_values_cross() {
        let sheet = sheet(&[2, 3, 10]);
        let mut seen = vec![];
        let pages = pages(&sheet);
        assert_eq!(pages.len(), 2, "ten columns are too many");
        for page in &pages {
            assert_eq!(
                (&*page.heading, &page.row_names[..]),
                ("C", &["A".to_owned(), "B".to_owned()][..])
            );
            for row in &page.rows {
                for (column, cell) in page.columns.iter().zip(&row.cells) {
                    let SheetCell::Asset(id) = cell else { panic!() };
                    let id: usize = id.parse().unwrap();
                    let labels = [format!("A{}", id / 30), format!("B{}", id / 10 % 3)];
                    assert_eq!(
                        (&row.labels[..], column),
                        (&labels[..], &format!("C{}", id % 10))
                    );
                    seen.push(id);
                }
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..60).collect::<Vec<_>>());
    }

    #[test]
    fn one_axis_is_laid_out_like_text() {
        let sheet = sheet(&[7, 1]);
        let pages = pages(&sheet);
        let rows = &pages[0].rows;
        let captions: Vec<&[String]> = rows.iter().map(|row| &row.captions[..]).collect();
        assert_eq!(
            captions,
            [
                &["A0", "A1", "A2"].map(str::to_owned)[..],
                &["A3", "A4", "A5"].map(str::to_owned)[..],
                &["A6"].map(str::to_owned)[..]
            ]
        );
        let widths: Vec<usize> = [1, 2, 3, 4, 6, 8, 12, 64, 1000]
            .into_iter()
            .map(across)
            .collect();
        assert_eq!(widths, [1, 2, 3, 2, 3, 4, 4, 8, 8]);
    }
}
