//! COM_QUERY: one statement or, for a client that asked for it, several in one text. The gate cuts the text, and the database,
//! which never has that option on, gets its statements one by one; the client gets their answers joined to one.
//!
//! All statements are judged before the first is sent, each by the session that those before it will leave: a refusal of any
//! refuses the text. When its turn comes each is judged again by what is believed then, which is what counts.

use std::sync::Arc;

use sql::Reason;
use sql::mysql::{Session, SessionEffect, Verdict};
use wire::mysql::connect::capabilities::Capabilities;
use wire::mysql::response::joint::{Follows, Joint};

use super::columns::{Columns, Telling};
use super::refused::Refused;
use super::{Ended, Relay, Request};
use crate::audit::SqlError;
use crate::exchange::OnRecord;
use crate::rule::Rule;

/// The value of COM_SET_OPTION that turns several statements in a text on.
const MULTI_STATEMENTS_ON: u16 = 0;

/// The value that turns them off.
const MULTI_STATEMENTS_OFF: u16 = 1;

/// How many statements a text of the client's may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texts {
    /// One.
    Single,
    /// Several.
    Several,
}

impl Texts {
    /// As the client asked for it in its handshake.
    pub(super) fn agreed(agreed: Capabilities) -> Self {
        if agreed.contains(Capabilities::MULTI_STATEMENTS) { Self::Several } else { Self::Single }
    }
}

/// Where the statement stands in its text whose answer is under way or comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Position {
    /// It is alone; and so is the next command's, once a text has its whole answer.
    #[default]
    Alone,
    /// Others follow it.
    Followed,
    /// It is the last of several.
    Last,
}

impl Position {
    /// What follows its answer.
    pub(super) fn follows(self) -> Follows {
        match self {
            Self::Followed => Follows::Answer,
            Self::Alone | Self::Last => Follows::Nothing,
        }
    }

    /// What the next answer's is, once this one is whole. An error is the end of the text.
    pub(super) fn answered(self, error: Option<SqlError>) -> Self {
        match (self, error) {
            (Self::Followed, None) => Self::Followed,
            (Self::Followed, Some(_)) | (Self::Alone | Self::Last, _) => Self::Alone,
        }
    }
}

impl Relay {
    pub(super) async fn query(&mut self, text: &[u8]) -> Result<(), Ended> {
        let request = Request::text("COM_QUERY", text);
        if let Some(refused) = self.misread(text) {
            return self.refuse(request, refused).await;
        }
        if self.texts == Texts::Single || !may_be_several(text) {
            return self.statement(request, text).await;
        }
        let mode = self.session().await?.mode;
        let parts = match self.shared.checked.gate.split(text, mode).await {
            Ok(Ok(parts)) => parts,
            Ok(Err(refusal)) => return self.refuse_by_gate(request, &refusal).await,
            Err(_) => return self.refuse(request, Refused::no_verdict()).await,
        };
        let parts = parts.into_iter().map(|range| text.get(range).unwrap_or_default());
        match parts.collect::<Vec<_>>().as_slice() {
            [] => self.statement(request, text).await,
            [only] => self.statement(request, only).await,
            several => self.several(request, several).await,
        }
    }

    /// Judges all of them, then sends one after the other until one fails.
    async fn several(&mut self, request: Request<'_>, parts: &[&[u8]]) -> Result<(), Ended> {
        let (mut session, mut telling) = (self.session().await?, Telling::whole());
        for (index, part) in parts.iter().enumerate() {
            let number = index.saturating_add(1);
            let foreseen = match self.foresees(part, &session, &mut telling).await? {
                Ok(SessionEffect::SetsSqlMode) if number < parts.len() => {
                    let message =
                        "the statements after it may be read otherwise then; make it the last of its text";
                    Err(Refused::new(Rule::Gate(Reason::SeveralStatements), message))
                }
                foreseen => foreseen,
            };
            match foreseen {
                Ok(SessionEffect::UsesSchema(schema)) => session.schema = Some(Arc::from(schema)),
                Ok(SessionEffect::None | SessionEffect::SetsSqlMode) => {}
                Err(refused) => return self.refuse(request, refused.of_statement(number)).await,
            }
        }
        self.position = Position::Followed;
        for (index, part) in parts.iter().enumerate() {
            if index.saturating_add(1) == parts.len() {
                self.position = Position::Last;
            }
            self.statement(Request { text: part, ..request }, part).await?;
            if self.position == Position::Alone {
                break;
            }
        }
        Ok(())
    }

    /// What a statement will do to the session, or why it is refused. Nothing of it is sent.
    async fn foresees(
        &mut self,
        part: &[u8],
        session: &Session,
        telling: &mut Telling,
    ) -> Result<Result<SessionEffect, Refused>, Ended> {
        let permit = match self.shared.checked.gate.decide(part, session).await {
            Ok(Verdict::Forward(permit)) => permit,
            Ok(Verdict::Answer(_)) => return Ok(Ok(SessionEffect::None)),
            Ok(Verdict::Refuse(refusal)) => return Ok(Err(Refused::by_gate(&refusal))),
            Err(_) => return Ok(Err(Refused::no_verdict())),
        };
        match self.traced_within(telling, part, session).await? {
            Columns::Plain | Columns::Masked(_) => Ok(Ok(permit.effect())),
            Columns::Refused(refused) => Ok(Err(refused)),
        }
    }

    /// How the answer to come is joined to those before and after it.
    pub(super) fn joint(&self) -> Joint {
        Joint::new(self.client.sequence(), self.position.follows())
    }

    /// COM_SET_OPTION is between client and proxy. A reset leaves it as it is, as servers do.
    pub(super) async fn set_option(&mut self, option: u16) -> Result<(), Ended> {
        self.texts = match option {
            MULTI_STATEMENTS_ON => Texts::Several,
            MULTI_STATEMENTS_OFF => Texts::Single,
            _ => {
                let refused = Refused::new(Rule::Command, "there is no such option");
                return self.refuse(Request::plain("COM_SET_OPTION"), refused).await;
            }
        };
        self.begin_counted(OnRecord::Local)?;
        self.answer_end()?;
        self.finish().await
    }
}

/// Whether there is another semicolon than one at the end.
fn may_be_several(text: &[u8]) -> bool {
    let text = text.trim_ascii_end();
    text.strip_suffix(b";").unwrap_or(text).contains(&b';')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::mysql::errors;

    #[test]
    fn one_semicolon_at_the_end_is_not_worth_a_look() {
        for text in [&b""[..], b";", b" ;\n", b"SELECT 1", b"SELECT 1;", b"SELECT 1 ;\t"] {
            assert!(!may_be_several(text), "{}", text.escape_ascii());
        }
        for text in [&b"a;b"[..], b"SELECT 1;;", b"SELECT ';'", b"SELECT 1; -- x", b"SELECT 1;\x0b"] {
            assert!(may_be_several(text), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_text_is_over_with_its_last_answer_or_with_an_error() {
        let error = Some(errors::GONE.into());
        assert_eq!(Position::Followed.answered(None), Position::Followed);
        for over in [
            (Position::Followed, error),
            (Position::Last, None),
            (Position::Last, error),
            (Position::Alone, None),
        ] {
            assert_eq!(over.0.answered(over.1), Position::Alone, "{over:?}");
        }
        assert_eq!(Position::Followed.follows(), Follows::Answer);
        assert_eq!([Position::Last, Position::Alone].map(Position::follows), [Follows::Nothing; 2]);
    }
}
