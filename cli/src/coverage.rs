//! `encore86 coverage`: what the instruction table covers, counted from its rows.

use crate::lines;
use encore86_coverage::checked::List;
use encore86_coverage::count::Counts;
use encore86_coverage::list::file;
use encore86_coverage::list::matched::Matched;
use encore86_coverage::pages;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to print or write.
#[derive(clap::Args)]
pub struct Args {
    /// Write the tables into README.md and docs/coverage.md of a checkout of the repository, instead of printing them.
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = ".")]
    write: Option<PathBuf>,
    /// Match a list of instruction forms too: status 2 if not all of them decode. Without it, the list that the environment
    /// variable ENCORE86_FORMS names.
    #[arg(long, value_name = "FILE", conflicts_with = "write")]
    forms: Option<PathBuf>,
}

/// Runs the command: status 2 if a form of a list does not decode, 1 if a file cannot be read or written.
pub fn main(args: &Args) -> ExitCode {
    lines::status(match &args.write {
        Some(root) => write(root),
        None => print(args.forms.clone().or_else(|| file::named().ok()).as_deref()),
    })
}

fn print(forms: Option<&Path>) -> Result<bool, String> {
    let checked = List::read();
    let counts = Counts::new(&checked);
    let forms = forms.map(file::read).transpose()?;
    let matched = forms.map(|forms| Matched::new(&forms, &Matched::differences()));
    let text = pages::terminal(&counts, matched.as_ref());
    let written = write!(io::stdout(), "{text}\nchecked on: {}\n", checked.processor);
    written.map_err(|error| format!("cannot write: {error}"))?;
    Ok(matched.is_none_or(|matched| matched.decoded() == matched.forms))
}

fn write(root: &Path) -> Result<bool, String> {
    for page in pages::pages(root, &Counts::new(&List::read()))? {
        if page.is != page.should {
            let path = root.join(page.file);
            std::fs::write(&path, page.should).map_err(|error| format!("{}: {error}", path.display()))?;
            println!("{} is refreshed", page.file);
        }
    }
    Ok(true)
}
