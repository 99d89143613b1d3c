//! The wrapped keys of grants, as those read them who seal a text or open one.

use std::collections::BTreeSet;
use std::io;

use record::Uid;

use crate::engine::keys::KEYS;
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

/// The grants that have one.
pub fn grants(source: &dyn Source) -> io::Result<BTreeSet<Uid>> {
    Ok(source.list(KEYS)?.iter().filter_map(|name| grant_of(name)).collect())
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
}
