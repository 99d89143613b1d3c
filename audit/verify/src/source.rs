//! Where the files of a log come from.

/// A directory, a bucket or a server that has the files of a log, under the paths of C2SP tlog-tiles: `checkpoint`,
/// `tile/<L>/<N>[.p/<W>]`, `tile/entries/<N>[.p/<W>]`; and, where texts were opened for this copy, `texts/<N>[.p/<W>]` (see
/// [`record::texts`]).
pub trait Source {
    /// Why a file could not be read.
    type Error;

    /// All bytes of a file; `None`, where there is no such file.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Self::Error>;
}

impl<S: Source + ?Sized> Source for &S {
    type Error = S::Error;

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, S::Error> {
        (**self).read(path)
    }
}
