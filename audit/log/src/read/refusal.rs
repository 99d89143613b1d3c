//! What is said instead of an answer: one sentence that says what to do, as JSON.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::index::{KnowError, Unread};

/// What is told of an index that does not fit the log.
const WRONG: &str = "the index was wrong and is made again from the log: ask again in a while";

/// What is told of files that cannot be had.
const AWAY: &str = "the log's bucket does not answer: ask again in a while";

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Of which sort it is.
    pub status: StatusCode,
    /// What to do.
    pub sentence: String,
}

impl Refusal {
    /// The question is none.
    pub fn question(sentence: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, sentence }
    }

    /// The certificate is another one than this needs.
    pub fn certificate(sentence: &str) -> Self {
        Self { status: StatusCode::FORBIDDEN, sentence: sentence.to_owned() }
    }

    /// There is no such thing.
    pub fn nothing(sentence: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, sentence: sentence.to_owned() }
    }

    /// It was there.
    pub fn gone(sentence: &str) -> Self {
        Self { status: StatusCode::GONE, sentence: sentence.to_owned() }
    }

    /// Another try may do.
    pub fn again(sentence: &str) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, sentence: sentence.to_owned() }
    }

    /// The log's files cannot be read now.
    pub fn away() -> Self {
        Self::again(AWAY)
    }

    /// Whether the index is to blame.
    pub fn is_of_index(&self) -> bool {
        self.sentence == WRONG
    }

    /// What is on the disk cannot be read.
    pub fn damage(sentence: String) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, sentence }
    }
}

impl From<KnowError> for Refusal {
    fn from(error: KnowError) -> Self {
        match error {
            KnowError::Tree(unread) => unread.into(),
            KnowError::Index(_) | KnowError::Misfit => Self::again(WRONG),
        }
    }
}

impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Away(_) => Self::away(),
            Unread::Damaged(_) | Unread::Beyond(_) | Unread::Left => Self::damage(unread.to_string()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, sentence } = self;
        (status, [(CACHE_CONTROL, "no-store")], Json(json!({ "error": sentence }))).into_response()
    }
}
