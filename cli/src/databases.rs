//! Reads a `Database`: from the cluster, or from a file without one.

use std::io::Read;
use std::path::{Path, PathBuf};

use access::Target;
use crds::{BadDatabase, Database};
use kube::ResourceExt;
use serde::Deserialize;

/// Why there is no `Database` to speak of.
#[derive(Debug, thiserror::Error)]
pub enum ReadDatabaseError {
    /// The file can't be read.
    #[error("cannot read {path:?}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It isn't what it should be.
    #[error("{path:?} is not YAML of a Database")]
    Yaml {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_norway::Error,
    },
    /// A field that a Database does not have.
    #[error("{path:?} has {field}, which a Database does not have: is it misspelt?")]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Where it stands: `spec.schemas`.
        field: String,
    },
    /// None, or none of that name.
    #[error("{path:?} holds no Database{}", named(.name))]
    Missing {
        /// The file.
        path: PathBuf,
        /// The name that was asked for.
        name: Option<String>,
    },
    /// More than one.
    #[error("{path:?} holds more than one Database: name the one you mean")]
    Several {
        /// The file.
        path: PathBuf,
    },
    /// No namespace, neither in the file nor on the command line.
    #[error("{path:?} does not say in which namespace the Database is: add -n NAMESPACE")]
    Namespace {
        /// The file.
        path: PathBuf,
    },
    /// It can't be used.
    #[error("Database {name} can't be used")]
    Bad {
        /// Its name.
        name: String,
        /// Why.
        source: BadDatabase,
    },
}

fn named(name: &Option<String>) -> String {
    name.as_ref().map_or_else(String::new, |name| format!(" named {name}"))
}

/// The `Database` in this file, YAML of one or more documents; other kinds in it are passed over.
pub fn from_file(
    path: &Path,
    name: Option<&str>,
    namespace: Option<&str>,
) -> Result<Target, ReadDatabaseError> {
    let text = read(path).map_err(|source| ReadDatabaseError::File { path: path.to_owned(), source })?;
    let yaml = |source| ReadDatabaseError::Yaml { path: path.to_owned(), source };
    let (found, unknown) = parse(&text, name).map_err(yaml)?;
    if let Some(field) = unknown {
        return Err(ReadDatabaseError::Unknown { path: path.to_owned(), field });
    }
    let mut found = found.into_iter();
    let Some(database) = found.next() else {
        return Err(ReadDatabaseError::Missing { path: path.to_owned(), name: name.map(str::to_owned) });
    };
    if found.next().is_some() {
        return Err(ReadDatabaseError::Several { path: path.to_owned() });
    }
    let namespace = database.namespace().or_else(|| namespace.map(str::to_owned));
    let namespace = namespace.ok_or_else(|| ReadDatabaseError::Namespace { path: path.to_owned() })?;
    target(&namespace, &database)
}

/// What the object describes.
pub fn target(namespace: &str, database: &Database) -> Result<Target, ReadDatabaseError> {
    let name = database.name_any();
    crds::target(namespace, &name, &database.spec)
        .map_err(|source| ReadDatabaseError::Bad { name: name.clone(), source })
}

fn read(path: &Path) -> Result<String, std::io::Error> {
    if path != Path::new("-") {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// The databases, and the first field of a spec that none has.
fn parse(text: &str, name: Option<&str>) -> Result<(Vec<Database>, Option<String>), serde_norway::Error> {
    let (mut found, mut unknown) = (Vec::new(), None);
    for document in serde_norway::Deserializer::from_str(text) {
        let value = serde_norway::Value::deserialize(document)?;
        if value.get("kind").and_then(|kind| kind.as_str()) != Some("Database") {
            continue;
        }
        let database: Database = serde_ignored::deserialize(value, |field| {
            // Optional parents are marked in the path.
            let field = field.to_string().replace(".?", "");
            if field.starts_with("spec") {
                unknown.get_or_insert(field);
            }
        })?;
        if name.is_none_or(|name| database.metadata.name.as_deref() == Some(name)) {
            found.push(database);
        }
    }
    Ok((found, unknown))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "\
apiVersion: access.keyhole.dev/v1alpha1
kind: Database
metadata: {name: orders, namespace: shop}
spec:
  engine: mariadb
  host: orders.shop.svc
  schema: shop
  tls: {mode: Disabled}
  credentials: {vault: {role: orders-read}}
  accessPolicy: readers
  network: {to: {cidr: 10.0.0.1/32}}
---
kind: AccessPolicy
---
apiVersion: access.keyhole.dev/v1alpha1
kind: Database
metadata: {name: customers}
spec:
  engine: mysql
  host: customers.shop.svc
  tls: {mode: Disabled}
  credentials: {vault: {role: customers-read, mount: db}}
  accessPolicy: readers
  network: {to: {cidr: 10.0.0.1/32}}
";

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn which_database_is_never_guessed() {
        let two = file(TWO);
        let read = |name, namespace| from_file(two.path(), name, namespace);
        assert!(matches!(read(None, None), Err(ReadDatabaseError::Several { .. })));
        assert!(matches!(read(Some("other"), None), Err(ReadDatabaseError::Missing { .. })));
        assert!(matches!(read(Some("customers"), None), Err(ReadDatabaseError::Namespace { .. })));
        assert_eq!(read(Some("customers"), Some("shop")).unwrap().identity(), "shop.customers");
        assert_eq!(read(Some("orders"), Some("else")).unwrap().identity(), "shop.orders");
    }

    #[test]
    fn an_unknown_field_is_an_error_rather_than_passed_over() {
        let wrong = file(&TWO.replace("schema: shop", "schemas: shop"));
        let told = from_file(wrong.path(), Some("orders"), None);
        assert!(matches!(told, Err(ReadDatabaseError::Unknown { field, .. }) if field == "spec.schemas"));
        let optional = file(&TWO.replace(
            "{mode: Disabled}",
            "{mode: Verify, caFrom: {configMapKeyRef: {name: a, key: b, kee: c}}}",
        ));
        let told = from_file(optional.path(), Some("orders"), None);
        assert!(
            matches!(told, Err(ReadDatabaseError::Unknown { field, .. }) if field == "spec.tls.caFrom.configMapKeyRef.kee")
        );
        let deep = file(&TWO.replace("{cidr: 10.0.0.1/32}", "{cdir: 10.0.0.1/32}"));
        let told = from_file(deep.path(), Some("orders"), None);
        assert!(
            matches!(told, Err(ReadDatabaseError::Unknown { field, .. }) if field == "spec.network.to.cdir")
        );
    }
}
