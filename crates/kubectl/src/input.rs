//! Bytes from files and from standard input.

use std::io::Read as _;
use std::path::Path;

use crate::failure::Failure;

/// The bytes of a file, or of standard input when the file is `-`.
pub fn file_or_stdin(path: &Path) -> Result<Vec<u8>, Failure> {
    if path.as_os_str() == "-" {
        return stdin();
    }
    std::fs::read(path).map_err(|error| Failure::Input {
        what: path.display().to_string(),
        error,
    })
}

/// The bytes of standard input.
pub fn stdin() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    // Nothing else runs meanwhile: the request is made only once its body is there.
    std::io::stdin()
        .lock()
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::Input {
            what: "standard input".into(),
            error,
        })?;
    Ok(bytes)
}
