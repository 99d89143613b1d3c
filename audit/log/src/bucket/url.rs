//! The name of a bucket and of the folder in it, as people write it.

use std::fmt;
use std::str::FromStr;

/// `s3://BUCKET` or `s3://BUCKET/FOLDER/FOLDER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUrl {
    /// The bucket: 3 to 63 small letters, digits, dots and hyphens.
    pub bucket: String,
    /// The folder; empty, or without a slash at either end.
    pub folder: String,
}

/// What is no such name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not s3://BUCKET or s3://BUCKET/FOLDER, of letters, digits, dots, hyphens and underscores")]
pub struct BadBucketUrl;

impl FromStr for BucketUrl {
    type Err = BadBucketUrl;

    fn from_str(text: &str) -> Result<Self, BadBucketUrl> {
        let rest = text.strip_prefix("s3://").ok_or(BadBucketUrl)?;
        let (bucket, folder) = rest.split_once('/').unwrap_or((rest, ""));
        let folder = folder.strip_suffix('/').unwrap_or(folder);
        let is_bucket = (3..=63).contains(&bucket.len())
            && bucket.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'));
        let is_word = |word: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            !matches!(word, "" | "." | "..") && word.bytes().all(is_plain)
        };
        if !is_bucket || !(folder.is_empty() || folder.split('/').all(is_word)) {
            return Err(BadBucketUrl);
        }
        Ok(Self { bucket: bucket.to_owned(), folder: folder.to_owned() })
    }
}

impl BucketUrl {
    /// The folder of this name in it.
    #[must_use]
    pub fn inside(mut self, name: &str) -> Self {
        if !self.folder.is_empty() {
            self.folder.push('/');
        }
        self.folder.push_str(name);
        self
    }
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bucket, folder } = self;
        let slash = if folder.is_empty() { "" } else { "/" };
        write!(f, "s3://{bucket}{slash}{folder}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_has_a_name_and_perhaps_a_folder() {
        for (text, inside) in [
            ("s3://trail", "s3://trail/0123"),
            ("s3://trail.of.shop/keyhole", "s3://trail.of.shop/keyhole/0123"),
            ("s3://trail/a/b_c.d", "s3://trail/a/b_c.d/0123"),
        ] {
            let url: BucketUrl = text.parse().unwrap();
            assert_eq!((url.to_string().as_str(), url.inside("0123").to_string().as_str()), (text, inside));
        }
        assert_eq!("s3://trail/a/".parse::<BucketUrl>().unwrap().to_string(), "s3://trail/a");
        for bad in [
            "",
            "trail",
            "s3://",
            "s3://ab",
            "s3://Trail",
            "https://trail",
            "s3://trail//a",
            "s3://trail/a//b",
            "s3://trail/../a",
            "s3://trail/a?b",
            "s3://trail/a b",
            "s3://user:word@trail",
        ] {
            assert_eq!(bad.parse::<BucketUrl>(), Err(BadBucketUrl), "{bad}");
        }
    }
}
