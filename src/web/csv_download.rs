//! Rows as a CSV file, in chunks that are read as the client takes them.

use super::error::ApiError;
use crate::domain::error::{Error, Result};
use actix_web::{HttpResponse, web};
use futures_util::stream;
use std::rc::Rc;

/// What stands in one place of a row.
pub enum Cell {
    /// Somebody's words: what a spreadsheet would take for a formula gets a quote in front.
    Text(String),
    /// Written by us: numbers, ids, times, hashes.
    Plain(String),
}

impl Cell {
    #[allow(
        clippy::needless_pass_by_value,
        reason = "most are numbers and ids, and a reference to each would be noise"
    )]
    pub fn plain(value: impl ToString) -> Self {
        Self::Plain(value.to_string())
    }

    /// Nothing for `None`.
    pub fn maybe(value: Option<impl ToString>) -> Self {
        Self::Plain(value.map(|value| value.to_string()).unwrap_or_default())
    }

    pub fn text(value: Option<String>) -> Self {
        Self::Text(value.unwrap_or_default())
    }
}

/// Rows of one read, and the place to go on from while there may be more.
pub struct Chunk {
    pub rows: Vec<Vec<Cell>>,
    pub next: Option<i64>,
}

/// A file of this name with these columns. `read` gives the rows after a place, beginning at 0.
pub fn download<F, R>(name: &str, columns: &'static [&'static str], read: F) -> HttpResponse
where
    F: Fn(i64) -> R + 'static,
    R: Future<Output = Result<Chunk>> + 'static,
{
    let read = Rc::new(read);
    let chunks = stream::unfold(Some((0, true)), move |state| {
        let read = Rc::clone(&read);
        async move {
            let (mut after, is_first) = state?;
            let chunk = loop {
                match read(after).await {
                    // An empty chunk would end the answer.
                    Ok(Chunk { rows, next: Some(next) }) if rows.is_empty() && !is_first => after = next,
                    chunk => break chunk,
                }
            };
            match chunk {
                Ok(chunk) if chunk.rows.is_empty() && !is_first => None,
                Ok(chunk) => {
                    let columns = if is_first { columns } else { &[] };
                    let bytes = written(columns, chunk.rows).map(web::Bytes::from).map_err(ApiError);
                    Some((bytes, chunk.next.map(|next| (next, false))))
                }
                // The answer has begun: breaking it off is the only way left to say that it is not whole.
                Err(fault) => Some((Err(ApiError(fault)), None)),
            }
        }
    });
    HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header(("Content-Disposition", format!("attachment; filename=\"{name}.csv\"")))
        .streaming(chunks)
}

fn written(columns: &[&str], rows: Vec<Vec<Cell>>) -> Result<Vec<u8>> {
    let fault = |fault: String| Error::internal(format!("csv: {fault}"));
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    if !columns.is_empty() {
        writer.write_record(columns).map_err(|error| fault(error.to_string()))?;
    }
    for row in rows {
        let cells = row.into_iter().map(|cell| match cell {
            Cell::Text(text) => defused(text),
            Cell::Plain(text) => text,
        });
        writer.write_record(cells).map_err(|error| fault(error.to_string()))?;
    }
    writer.into_inner().map_err(|error| fault(error.to_string()))
}

/// Text that a spreadsheet would take for a formula gets a quote in front. Numbers are written by us and stay bare.
pub fn defused(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_defused() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"] {
            assert_eq!(defused(text.into()), format!("'{text}"));
        }
        assert_eq!(defused("user***@domain.com".into()), "user***@domain.com");
    }

    #[test]
    fn words_are_defused_and_numbers_stay_bare() {
        let row = vec![Cell::Text("=1+1".into()), Cell::plain(-5), Cell::maybe(None::<i64>), Cell::text(None)];
        let text = String::from_utf8(written(&["a", "b", "c", "d"], vec![row]).unwrap()).unwrap();
        assert_eq!(text, "a,b,c,d\r\n'=1+1,-5,,\r\n");
    }
}
