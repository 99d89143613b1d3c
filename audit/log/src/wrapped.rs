//! The wrapped keys of grants, as those read them who seal a text or open one.

use std::collections::BTreeSet;
use std::io;

use record::Uid;

use crate::engine::keys::{KEYS, OLD, key_path};
use crate::seal::Keys;
use crate::source::Source;

/// The keys of a grant. On a volume there is one. In a bucket there may be others besides, by which nothing is sealed that was acknowledged:
/// those of a log that was cut off.
pub fn all_of(source: &dyn Source, grant: &Uid) -> io::Result<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for path in source.keys_of(grant)? {
        // One that is not there any more was erased since.
        all.extend(source.read(&path)?);
    }
    Ok(all)
}

/// The one of them to seal with: the last that can be opened, which is of the newest start. Where none can, one that says why; `None`, where there is none.
pub fn one_of(source: &dyn Source, grant: &Uid, keys: &Keys) -> io::Result<Option<Vec<u8>>> {
    let mut all = all_of(source, grant)?;
    let opens = all.iter().rposition(|wrapped| keys.opens(grant, wrapped.clone()));
    Ok(if all.is_empty() { None } else { Some(all.swap_remove(opens.unwrap_or(0))) })
}

/// The grants that have one, those of logs that were given up among them.
pub fn grants(source: &dyn Source) -> io::Result<BTreeSet<Uid>> {
    let mut names = source.list(KEYS)?;
    for log in source.list(OLD)? {
        names.extend(source.list(&format!("{OLD}/{log}/{KEYS}"))?);
    }
    Ok(names.iter().filter_map(|name| grant_of(name)).collect())
}

/// Whether a grant has one, in this log or in one that was given up.
pub fn has_any(source: &dyn Source, grant: &Uid) -> io::Result<bool> {
    let old = source.list(OLD)?.into_iter().map(|log| format!("{OLD}/{log}/{}", key_path(grant)));
    for path in source.keys_of(grant)?.into_iter().chain(old) {
        if source.read(&path)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whose key this is, by its name in the folder of keys: `GRANT` on a volume, `GRANT/NAME` in a bucket.
pub fn grant_of(name: &str) -> Option<Uid> {
    name.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use record::samples::uid;

    use super::*;
    use crate::seal::KeyEncryptionKeys;
    use crate::source::tests::Shelf;

    #[test]
    fn beside_the_key_of_a_grant_there_may_be_those_of_a_log_that_was_cut_off() {
        let keys = |line: &str| Keys::new(KeyEncryptionKeys::parse(line).unwrap());
        let ours = keys("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=");
        let theirs = keys("AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=");
        let wrapped = |keys: &Keys| keys.of(&uid(1), || Ok::<_, ()>(None)).unwrap().1.wrapped;
        let (ours_wrapped, theirs_wrapped) = (wrapped(&ours), wrapped(&theirs));
        let folder = tempfile::tempdir().unwrap();
        let put = |name: String, bytes: &[u8]| {
            let path = folder.path().join(KEYS).join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        put(format!("{}/00", uid(1)), &theirs_wrapped);
        put(format!("{}/01", uid(1)), &ours_wrapped);
        put(format!("{}/00", uid(2)), b"torn");
        let shelf = Shelf::of(folder.path());
        assert_eq!(grants(&shelf).unwrap(), BTreeSet::from([uid(1), uid(2)]));
        assert_eq!(all_of(&shelf, &uid(1)).unwrap(), [theirs_wrapped, ours_wrapped.clone()]);
        assert_eq!(one_of(&shelf, &uid(1), &ours).unwrap(), Some(ours_wrapped));
        assert_eq!(one_of(&shelf, &uid(2), &ours).unwrap().unwrap(), b"torn", "it is not taken for none");
        assert_eq!(one_of(&shelf, &uid(3), &ours).unwrap(), None);
    }

    #[test]
    fn the_keys_of_logs_that_were_given_up_are_found_and_used_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for path in [key_path(&uid(1)), format!("{OLD}/0123456789abcdef/{}", key_path(&uid(2)))] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"wrapped").unwrap();
        }
        std::fs::write(folder.path().join(OLD).join("note"), b"why").unwrap();
        let source = crate::source::Folder(folder.path().to_owned());
        assert_eq!(grants(&source).unwrap(), BTreeSet::from([uid(1), uid(2)]));
        assert_eq!([1, 2, 3].map(|grant| has_any(&source, &uid(grant)).unwrap()), [true, true, false]);
        assert!(all_of(&source, &uid(2)).unwrap().is_empty());
    }
}
