//! Input by lines, whatever they hold.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::ExitCode;

/// Longest line in bytes.
pub const LONGEST: usize = 64 << 20;

/// One line of input.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Its text, without the line's end.
    Text(String),
    /// Why it is none.
    Malformed(String),
}

/// The file, or standard input without one.
///
/// # Errors
/// A sentence that names the file.
pub fn open(file: Option<&Path>) -> Result<Box<dyn BufRead>, String> {
    match file {
        None => Ok(Box::new(io::stdin().lock())),
        Some(path) => match File::open(path) {
            Ok(file) => Ok(Box::new(BufReader::new(file))),
            Err(e) => Err(format!("cannot open {}: {e}", path.display())),
        },
    }
}

/// The next line; `None` at the end.
///
/// # Errors
/// Those of the reader.
pub fn next(mut input: &mut dyn BufRead) -> io::Result<Option<Line>> {
    let mut bytes = Vec::new();
    (&mut input).take(LONGEST as u64 + 1).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    } else if bytes.len() > LONGEST {
        input.skip_until(b'\n')?;
        let why = format!("the line is longer than {} MiB: use `zero` for large memory", LONGEST >> 20);
        return Ok(Some(Line::Malformed(why)));
    }
    Ok(Some(match String::from_utf8(bytes) {
        Ok(text) => Line::Text(text),
        Err(e) => Line::Malformed(format!("the line is not UTF-8: {}", e.utf8_error())),
    }))
}

/// Answers every line on standard output, flushing after each. `answer` says whether the line was well-formed; so does
/// the result, for all of them.
///
/// # Errors
/// A sentence, when input or output fails. A reader that has closed its end is no error.
pub fn answer(
    input: &mut dyn BufRead,
    mut answer: impl FnMut(Line, &mut dyn Write) -> io::Result<bool>,
) -> Result<bool, String> {
    let mut output = BufWriter::new(io::stdout().lock());
    let mut well_formed = true;
    while let Some(line) = next(input).map_err(|e| format!("cannot read on: {e}"))? {
        let written = answer(line, &mut output).and_then(|good| {
            well_formed &= good;
            output.flush()
        });
        match written {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => break,
            written => written.map_err(|e| format!("cannot write: {e}"))?,
        }
    }
    Ok(well_formed)
}

/// Exit status: 0, 2 after malformed lines, 1 with a sentence when the command failed.
pub fn status(result: Result<bool, String>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(why) => {
            eprintln!("encore86: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_newline_or_the_end_and_need_not_be_text() {
        let mut input: &[u8] = b"one\r\n\n\xff\xfe\nlast";
        let mut next = || next(&mut input).unwrap();
        assert_eq!(next(), Some(Line::Text("one".into())));
        assert_eq!(next(), Some(Line::Text(String::new())));
        assert!(matches!(next(), Some(Line::Malformed(why)) if why.contains("UTF-8")));
        assert_eq!(next(), Some(Line::Text("last".into())));
        assert_eq!(next(), None);
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_whole() {
        let mut text = vec![b' '; LONGEST + 10];
        text.extend_from_slice(b"\nnext\n");
        let mut input = text.as_slice();
        assert!(matches!(next(&mut input).unwrap(), Some(Line::Malformed(why)) if why.contains("64 MiB")));
        assert_eq!(next(&mut input).unwrap(), Some(Line::Text("next".into())));
    }
}
