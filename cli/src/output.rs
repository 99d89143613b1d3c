//! Objects in the form that a program reads.

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

/// Objects of any kind as `kubectl get -o json` lists them.
#[derive(Serialize)]
pub struct List {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    items: Vec<serde_json::Value>,
}

impl List {
    /// Without any.
    pub fn new() -> Self {
        Self { api_version: "v1", kind: "List", items: Vec::new() }
    }

    /// With these behind the others.
    pub fn with<K: Serialize>(mut self, objects: &[K]) -> Result<Self, FormatError> {
        for object in objects {
            let value = serde_json::to_value(object).map_err(|source| FormatError::Json { source })?;
            self.items.push(value);
        }
        Ok(self)
    }
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
