//! Objects in the form that a program reads, and whether they are sent.

use serde::Serialize;

use crate::args::Format;

/// The object has no such form. It does not happen with the kinds here.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// No JSON.
    #[error("cannot write the object as JSON")]
    Json {
        /// Why.
        source: serde_json::Error,
    },
    /// No YAML.
    #[error("cannot write the object as YAML")]
    Yaml {
        /// Why.
        source: serde_norway::Error,
    },
}

/// The text of an object, with a newline at its end.
pub fn formatted(object: &impl Serialize, format: Format) -> Result<String, FormatError> {
    match format {
        Format::Json => serde_json::to_string_pretty(object)
            .map(|text| text + "\n")
            .map_err(|source| FormatError::Json { source }),
        Format::Yaml => serde_norway::to_string(object).map_err(|source| FormatError::Yaml { source }),
    }
}
