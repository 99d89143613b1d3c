//! A masked answer, frame by frame: its definitions must be the ones that the column rules were traced for, and its rows
//! go out with the masked values gone. Until every definition has been seen nothing goes out. Pure.

use sql::mysql::ResultColumn;
use wire::mysql::connect::capabilities::Capabilities;
use wire::mysql::frame::{HEADER_LEN, MAX_PAYLOAD, Sequence};
use wire::mysql::reader::Malformed;
use wire::mysql::response::column::Column;
use wire::mysql::response::{Answer, Observed, Seen};
use wire::mysql::rows::mask::{self, MaskedColumn};

use super::super::refused::Refused;
use crate::rule::Rule;

/// Bytes of definitions that are held until the last of them was seen.
const MOST_HELD: usize = 4 * 1024 * 1024;

/// What holds for the results of one statement.
#[derive(Debug)]
pub(in crate::engines::mysql::relay) struct Masks {
    columns: Vec<ResultColumn>,
    /// As the database defined them last; what a cursor's rows are read by.
    defined: Option<Vec<MaskedColumn>>,
}

impl Masks {
    pub(in crate::engines::mysql::relay) fn new(columns: Vec<ResultColumn>) -> Self {
        Self { columns, defined: None }
    }

    /// What it takes of memory, with what is known of its columns once they are defined.
    pub(in crate::engines::mysql::relay) fn bytes(&self) -> usize {
        let each = size_of::<ResultColumn>().saturating_add(size_of::<MaskedColumn>());
        let names =
            self.columns.iter().map(|column| column.name.as_ref().map_or(0, |name| name.len().max(32)));
        names.fold(each.saturating_mul(self.columns.len()), usize::saturating_add)
    }
}

/// Why an answer can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engines::mysql::relay) enum Spoiled {
    /// It has other columns than the statement was traced for.
    Columns,
    /// A row is longer than one frame.
    LongRow,
    /// The database broke the protocol: the session is over.
    Malformed(Malformed),
}

impl Spoiled {
    /// What the client hears; `None` where there is nothing to go on with.
    pub(in crate::engines::mysql::relay) fn refused(self) -> Result<Refused, Malformed> {
        match self {
            Self::Columns => Ok(Refused::new(
                Rule::OtherColumns,
                "the result has other columns than the column rules were checked for, perhaps because a table was \
                 changed meanwhile: try again",
            )),
            Self::LongRow => Ok(Refused::new(
                Rule::LongRow,
                "a row of a result with masked columns is longer than 16 MiB: select fewer columns",
            )),
            Self::Malformed(malformed) => Err(malformed),
        }
    }
}

/// Edits one answer.
pub(in crate::engines::mysql::relay) struct Editor<'a> {
    masks: &'a mut Masks,
    binary: bool,
    /// What holds on the connection.
    capabilities: Capabilities,
    /// Columns defined so far.
    seen: Vec<MaskedColumn>,
    begun: bool,
    /// Frames that wait for the last definition.
    held: Vec<u8>,
}

impl<'a> Editor<'a> {
    pub(in crate::engines::mysql::relay) fn new(
        masks: &'a mut Masks,
        answer: Answer,
        capabilities: Capabilities,
    ) -> Self {
        if answer != Answer::Fetch {
            masks.defined = None;
        }
        let binary = matches!(answer, Answer::Execute | Answer::Fetch);
        Self { masks, binary, capabilities, seen: Vec::new(), begun: false, held: Vec::new() }
    }

    /// Bytes of frames that wait.
    pub(in crate::engines::mysql::relay) fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether a frame can be edited at all; it need not be here yet.
    pub(in crate::engines::mysql::relay) fn can_take(&self, observed: &Observed) -> Result<(), Spoiled> {
        match observed.seen {
            Seen::Row | Seen::Continuation if observed.len >= MAX_PAYLOAD.saturating_add(HEADER_LEN) => {
                Err(Spoiled::LongRow)
            }
            Seen::Row if self.masks.defined.is_none() => Err(Spoiled::Columns),
            _ => Ok(()),
        }
    }

    /// Edits one whole frame. What the client gets of it is appended to `out`, now or later.
    pub(in crate::engines::mysql::relay) fn edit(
        &mut self,
        observed: &Observed,
        frame: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Spoiled> {
        let body = frame.get(HEADER_LEN..).unwrap_or_default();
        match observed.seen {
            Seen::ColumnCount(count) => {
                if self.begun || usize::from(count) != self.masks.columns.len() {
                    return Err(Spoiled::Columns);
                }
                self.begun = true;
                self.hold(frame)
            }
            Seen::Definition => self.definition(observed.sequence, body, out),
            Seen::Row => {
                let columns = self.masks.defined.as_deref().ok_or(Spoiled::Columns)?;
                let edit = if self.binary { mask::binary_row } else { mask::text_row };
                framed(out, observed.sequence, |out| edit(body, columns, out).map_err(Spoiled::Malformed))
            }
            Seen::DefinitionsEnd(_) | Seen::RowsEnd { .. } | Seen::Err(_) => {
                // An error in place of the result, or of the rest of its definitions: those are not needed any more.
                if self.masks.defined.is_none() && !matches!(observed.seen, Seen::Err(_)) {
                    return Err(Spoiled::Columns);
                }
                out.append(&mut self.held);
                out.extend_from_slice(frame);
                Ok(())
            }
            Seen::Continuation | Seen::Ok(_) | Seen::LocalInfile | Seen::PrepareOk(_) | Seen::Text => {
                Err(Spoiled::Columns)
            }
        }
    }

    fn definition(&mut self, sequence: u8, body: &[u8], out: &mut Vec<u8>) -> Result<(), Spoiled> {
        let column = Column::decode(body, self.capabilities).map_err(Spoiled::Malformed)?;
        let expected = self.masks.columns.get(self.seen.len()).ok_or(Spoiled::Columns)?;
        if expected.name.as_ref().is_some_and(|name| !name.as_bytes().eq_ignore_ascii_case(column.name)) {
            return Err(Spoiled::Columns);
        }
        let masked = expected.masked;
        self.seen.push(MaskedColumn { column_type: column.column_type, masked });
        let mut edited = Vec::new();
        framed(&mut edited, sequence, |edited| {
            if masked {
                edited.extend_from_slice(&mask::nullable(&column, self.capabilities));
            } else {
                edited.extend_from_slice(body);
            }
            Ok(())
        })?;
        self.hold(&edited)?;
        if self.seen.len() == self.masks.columns.len() {
            self.masks.defined = Some(std::mem::take(&mut self.seen));
            out.append(&mut self.held);
        }
        Ok(())
    }

    fn hold(&mut self, frame: &[u8]) -> Result<(), Spoiled> {
        if self.held.len().saturating_add(frame.len()) > MOST_HELD {
            return Err(Spoiled::Columns);
        }
        self.held.extend_from_slice(frame);
        Ok(())
    }
}

/// Appends one frame whose payload `write` appends. What is written of a frame that fails is taken back.
fn framed(
    out: &mut Vec<u8>,
    sequence: u8,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), Spoiled>,
) -> Result<(), Spoiled> {
    let at = out.len();
    out.extend_from_slice(&[0, 0, 0, Sequence::starting_at(sequence).peek()]);
    let written = write(out);
    let len = out.len().saturating_sub(at).saturating_sub(HEADER_LEN);
    let written = written.and(if len < MAX_PAYLOAD { Ok(()) } else { Err(Spoiled::LongRow) });
    if written.is_err() {
        out.truncate(at);
        return written;
    }
    let [a, b, c, ..] = len.to_le_bytes();
    for (place, byte) in out.iter_mut().skip(at).zip([a, b, c]) {
        *place = byte;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use wire::mysql::frame;
    use wire::mysql::response::ResponseTracker;
    use wire::mysql::response::column_type::ColumnType;
    use wire::mysql::response::eof::EofPacket;
    use wire::mysql::response::err::ErrPacket;
    use wire::mysql::response::extended_metadata::ExtendedMetadata;
    use wire::mysql::response::ok::OkPacket;
    use wire::mysql::response::status_flags::StatusFlags;
    use wire::mysql::rows::text_row::TextRow;

    fn column(name: &str, masked: bool) -> ResultColumn {
        ResultColumn { name: Some(name.to_owned()), masked }
    }

    fn masks() -> Masks {
        Masks::new(vec![column("id", false), column("email", true)])
    }

    fn definition(name: &str, column_type: ColumnType) -> Vec<u8> {
        let column = Column { column_type, flags: mask::NOT_NULL, ..Column::text(name.as_bytes()) };
        column.encode(Capabilities::NONE)
    }

    fn definitions(names: &[&str]) -> Vec<Vec<u8>> {
        let mut packets = vec![vec![u8::try_from(names.len()).unwrap()]];
        packets.extend(names.iter().map(|name| definition(name, ColumnType::VAR_STRING)));
        packets
    }

    fn wired(packets: &[Vec<u8>]) -> Vec<u8> {
        let (mut sequence, mut out) = (Sequence::starting_at(1), Vec::new());
        packets.iter().for_each(|packet| frame::encode(packet, &mut sequence, &mut out));
        out
    }

    fn text(values: &[Option<&str>]) -> Vec<u8> {
        TextRow { values: values.iter().map(|value| value.map(str::as_bytes)).collect() }.encode()
    }

    fn eof() -> Vec<u8> {
        EofPacket { warnings: 0, status: StatusFlags::AUTOCOMMIT }.encode()
    }

    fn ended() -> Vec<u8> {
        OkPacket::default().encode_after_rows(Capabilities::DEPRECATE_EOF)
    }

    /// What the client gets of an answer, and what spoiled it.
    fn edited(
        masks: &mut Masks,
        answer: Answer,
        capabilities: Capabilities,
        packets: &[Vec<u8>],
    ) -> (Vec<u8>, Option<Spoiled>) {
        let wire = wired(packets);
        let mut tracker = ResponseTracker::new(answer, capabilities, Sequence::starting_at(1));
        let (mut editor, mut out, mut rest) =
            (Editor::new(masks, answer, capabilities), Vec::new(), wire.as_slice());
        while !tracker.is_complete() {
            let observed = tracker.observe(rest).unwrap().unwrap();
            let taken = editor.can_take(&observed);
            if let Err(spoiled) = taken.and_then(|()| editor.edit(&observed, &rest[..observed.len], &mut out))
            {
                return (out, Some(spoiled));
            }
            rest = &rest[observed.len..];
        }
        assert!(rest.is_empty());
        (out, None)
    }

    #[test]
    fn masked_values_are_gone_in_both_kinds_of_answers() {
        let extended = Capabilities::EXTENDED_METADATA;
        for (capabilities, end) in [
            (Capabilities::NONE, eof()),
            (Capabilities::DEPRECATE_EOF, ended()),
            (extended, eof()),
            (extended.union(Capabilities::DEPRECATE_EOF), ended()),
        ] {
            let old = !capabilities.contains(Capabilities::DEPRECATE_EOF);
            let answer = |email: &dyn Fn(u8) -> Option<&'static str>, flags| {
                // What is not known of a masked column goes with its values, and of another one it stays.
                let said = |others| ExtendedMetadata { format: Some(b"json"), others, type_name: None };
                let unknown = || vec![(2, &b"of a newer server"[..])];
                let of_email = if flags == 0 { vec![] } else { unknown() };
                let id = Column { extended: said(unknown()), ..Column::text(b"id") };
                let email_column = Column { flags, extended: said(of_email), ..Column::text(b"email") };
                let mut packets = vec![vec![2], id.encode(capabilities), email_column.encode(capabilities)];
                packets.extend(old.then(eof));
                packets.push(text(&[Some("1"), email(1)]));
                packets.push(text(&[Some("2"), email(2)]));
                packets.push(text(&[None, email(3)]));
                packets.push(end.clone());
                packets
            };
            let sent =
                answer(&|n| [Some("a@example.com"), None, Some("")][usize::from(n - 1)], mask::NOT_NULL);
            let (out, spoiled) = edited(&mut masks(), Answer::Query, capabilities, &sent);
            assert_eq!(spoiled, None);
            assert_eq!(out, wired(&answer(&|_| None, 0)));
        }
    }

    #[test]
    fn nothing_goes_out_when_the_columns_are_others() {
        let row = text(&[Some("1"), Some("a@example.com")]);
        for names in
            [&["id", "mail"][..], &["email", "id"], &["id"], &["id", "email", "note"], &["id", "e-mail"]]
        {
            let packets = [definitions(names), vec![row.clone(), ended()]].concat();
            let (out, spoiled) = edited(&mut masks(), Answer::Query, Capabilities::DEPRECATE_EOF, &packets);
            assert_eq!((out.len(), spoiled), (0, Some(Spoiled::Columns)), "{names:?}");
        }
        // No result at all where one must be.
        let ok = OkPacket::default().encode(Capabilities::NONE);
        let (out, spoiled) = edited(&mut masks(), Answer::Query, Capabilities::NONE, &[ok]);
        assert_eq!((out.len(), spoiled), (0, Some(Spoiled::Columns)));
    }

    #[test]
    fn a_column_without_a_known_name_may_have_any_and_case_does_not_count() {
        let mut masks = Masks::new(vec![ResultColumn { name: None, masked: false }, column("email", true)]);
        let packets = [definitions(&["1 + 1", "EMail"]), vec![ended()]].concat();
        let (_, spoiled) = edited(&mut masks, Answer::Query, Capabilities::DEPRECATE_EOF, &packets);
        assert_eq!(spoiled, None);
    }

    #[test]
    fn an_error_of_the_servers_passes_at_any_place() {
        let summary = crate::engines::mysql::errors::of(Rule::Interrupted);
        let error = ErrPacket { summary, message: b"interrupted" }.encode();
        let row = text(&[Some("1"), Some("a@example.com")]);
        let whole = [definitions(&["id", "email"]), vec![row]].concat();
        for before in 0..=whole.len() {
            let packets = [&whole[..before], std::slice::from_ref(&error)].concat();
            let (out, spoiled) = edited(&mut masks(), Answer::Query, Capabilities::DEPRECATE_EOF, &packets);
            assert_eq!(spoiled, None);
            assert!(
                out.ends_with(b"interrupted") && !out.windows(5).any(|part| part == b"a@exa"),
                "{before}"
            );
        }
    }

    #[test]
    fn a_second_result_does_not_pass() {
        let status = StatusFlags::MORE_RESULTS_EXISTS;
        let more = EofPacket { warnings: 0, status }.encode();
        let mut first = definitions(&["id", "email"]);
        first.extend([eof(), more]);
        let packets = [first, definitions(&["id", "email"]), vec![eof(), eof()]].concat();
        let (_, spoiled) = edited(&mut masks(), Answer::Query, Capabilities::NONE, &packets);
        assert_eq!(spoiled, Some(Spoiled::Columns));
    }

    #[test]
    fn a_cursors_rows_are_edited_by_the_definitions_that_came_before() {
        let mut masks = masks();
        let row = |email: &[u8]| [&[0, 0, 1, b'7'], email].concat();
        let fetched = [row(b"\x03abc"), ended()];
        let (out, spoiled) = edited(&mut masks, Answer::Fetch, Capabilities::DEPRECATE_EOF, &fetched);
        assert_eq!((out.len(), spoiled), (0, Some(Spoiled::Columns)), "nothing was defined");
        let opened = [definitions(&["id", "email"]), vec![ended()]].concat();
        assert_eq!(edited(&mut masks, Answer::Execute, Capabilities::DEPRECATE_EOF, &opened).1, None);
        for _ in 0..2 {
            let (out, spoiled) = edited(&mut masks, Answer::Fetch, Capabilities::DEPRECATE_EOF, &fetched);
            assert_eq!((out, spoiled), (wired(&[vec![0, 8, 1, b'7'], ended()]), None));
        }
    }

    #[test]
    fn a_row_that_fills_a_frame_is_too_long_and_one_that_does_not_is_edited() {
        let wide = |len: usize| {
            let note = "x".repeat(len);
            let row = text(&[Some(note.as_str()), Some("a@example.com")]);
            [definitions(&["id", "email"]), vec![row, ended()]].concat()
        };
        // 4 bytes of length, and the other value.
        let room = MAX_PAYLOAD - 4 - 14;
        let (out, spoiled) =
            edited(&mut masks(), Answer::Query, Capabilities::DEPRECATE_EOF, &wide(room - 1));
        assert_eq!((out.len() > room, spoiled), (true, None));
        let (_, spoiled) = edited(&mut masks(), Answer::Query, Capabilities::DEPRECATE_EOF, &wide(room));
        assert_eq!(spoiled, Some(Spoiled::LongRow));
    }
}
