//! Who reads, and what they may see. Pure.

use crate::index::Whose;

/// Who is at the other end, as the certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The operator: `keyhole://operator`.
    Operator,
    /// Somebody who reads what is on record: `keyhole://audit/<namespace>`, or `*` for all.
    Auditor(Scope),
    /// Somebody who erases texts, and reads nothing: `keyhole://erase/<namespace>`, or `*`.
    Eraser(Scope),
}

/// For which namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Each of them, and what is of none.
    All,
    /// This one.
    Namespace(String),
}

/// What somebody asks for.
#[derive(Clone, Copy, Debug)]
pub enum Thing<'a> {
    /// The files of the tree: every record, whosever it is.
    Tree,
    /// Records, texts, streams of this namespace; of none, where it is not known.
    Of(Option<&'a str>),
    /// To erase texts of this namespace.
    Erasure(Option<&'a str>),
}

impl Reader {
    /// From the only URI of a certificate.
    pub fn named(uri: &str) -> Option<Self> {
        let rest = uri.strip_prefix("keyhole://")?;
        match rest.split_once('/') {
            None => (rest == "operator").then_some(Self::Operator),
            Some(("audit", scope)) => Scope::named(scope).map(Self::Auditor),
            Some(("erase", scope)) => Scope::named(scope).map(Self::Eraser),
            Some(_) => None,
        }
    }

    /// Whether they may. This is the only place that says so.
    pub fn may(&self, thing: Thing<'_>) -> bool {
        match (self, thing) {
            (Self::Operator | Self::Auditor(Scope::All), Thing::Tree | Thing::Of(_)) => true,
            (Self::Auditor(Scope::Namespace(own)), Thing::Of(namespace)) => namespace == Some(own),
            (Self::Eraser(Scope::All), Thing::Erasure(_)) => true,
            (Self::Eraser(Scope::Namespace(own)), Thing::Erasure(namespace)) => namespace == Some(own),
            (Self::Auditor(Scope::Namespace(_)), Thing::Tree)
            | (Self::Operator | Self::Auditor(_), Thing::Erasure(_))
            | (Self::Eraser(_), Thing::Tree | Thing::Of(_)) => false,
        }
    }

    /// Whether they may see a record of this.
    pub fn may_see(&self, whose: &Whose) -> bool {
        self.may(Thing::Of(whose.namespace.as_deref()))
    }

    /// The only namespace that they see, where there is one.
    pub fn only(&self) -> Option<&str> {
        match self {
            Self::Auditor(Scope::Namespace(own)) | Self::Eraser(Scope::Namespace(own)) => Some(own),
            Self::Operator | Self::Auditor(Scope::All) | Self::Eraser(Scope::All) => None,
        }
    }
}

impl Scope {
    fn named(text: &str) -> Option<Self> {
        let is_name = (1..=63).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        match text {
            "*" => Some(Self::All),
            name => is_name.then(|| Self::Namespace(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_names_one_reader_or_none() {
        let shop = || Scope::Namespace("shop".into());
        assert_eq!(Reader::named("keyhole://operator"), Some(Reader::Operator));
        assert_eq!(Reader::named("keyhole://audit/*"), Some(Reader::Auditor(Scope::All)));
        assert_eq!(Reader::named("keyhole://audit/shop"), Some(Reader::Auditor(shop())));
        assert_eq!(Reader::named("keyhole://erase/shop"), Some(Reader::Eraser(shop())));
        for bad in [
            "",
            "operator",
            "keyhole://operator/",
            "keyhole://audit",
            "keyhole://audit/",
            "keyhole://audit/Shop",
            "keyhole://audit/shop/x",
            "keyhole://audit/**",
            "keyhole://audit/a,b",
            "keyhole://proxy/shop",
            "keyhole://log",
        ] {
            assert_eq!(Reader::named(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn who_is_of_one_namespace_sees_nothing_else() {
        let [operator, all, shop, erase_all, erase_shop] =
            ["operator", "audit/*", "audit/shop", "erase/*", "erase/shop"]
                .map(|rest| Reader::named(&format!("keyhole://{rest}")).unwrap());
        let may = |thing| {
            [&operator, &all, &shop, &erase_all, &erase_shop].map(|reader| u8::from(reader.may(thing)))
        };
        assert_eq!(may(Thing::Tree), [1, 1, 0, 0, 0]);
        assert_eq!(may(Thing::Of(Some("shop"))), [1, 1, 1, 0, 0]);
        assert_eq!(may(Thing::Of(Some("bank"))), [1, 1, 0, 0, 0]);
        assert_eq!(may(Thing::Of(None)), [1, 1, 0, 0, 0]);
        assert_eq!(may(Thing::Erasure(Some("shop"))), [0, 0, 0, 1, 1]);
        assert_eq!(may(Thing::Erasure(Some("bank"))), [0, 0, 0, 1, 0]);
        assert_eq!(may(Thing::Erasure(None)), [0, 0, 0, 1, 0]);
    }
}
