//! What is not acknowledged yet, and what follows from each frame. It reads no clock and no socket.

use std::collections::VecDeque;

use record::frame::{Append, Carried, Code, Frame, Hello, LONGEST_PAYLOAD, Refuse, Used, Welcome};
use record::{About, Chain, Count, Head, Leaf, StreamName, Time, What};

/// The most bytes that are kept of what is not acknowledged. Then nothing more is begun.
const MOST: usize = 4 << 20;

/// How much more is kept of how things went that were begun before.
const FOR_ENDS: usize = 1 << 20;

/// The most bytes of records that travel in one frame, unless one alone has more.
const FRAME: usize = 256 << 10;

/// Whether something is begun by a record, or ends by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// It may be put off: nothing of it has happened.
    Begins,
    /// It has happened.
    Ends,
}

/// Why a record has no place in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Too much is not acknowledged.
    #[error("the log has not acknowledged 4 MiB of records")]
    Full,
    /// It is longer than a record may be.
    #[error("the record is longer than 65535 bytes")]
    TooLong,
    /// Its payload is longer than a payload may be: no frame could carry it, now or later.
    #[error("what is kept beside the record is longer than fits a frame")]
    LongPayload,
    /// The stream is at its end, for good.
    #[error("the stream is at its end")]
    Over(Fault),
}

/// Why a stream is at its end: no connection will change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The log has less than it acknowledged, or other records.
    #[error("the log does not have what it acknowledged: it was set back, or it is another one")]
    Forgot,
    /// The log takes nothing of this writer.
    #[error("the log refuses the stream for good")]
    Refused(Code),
}

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Records flow from here on. What the grant has used so far, as the log has it.
    Welcome(Used),
    /// All records below this number are on the log's disk.
    Acknowledged(Count),
    /// The log takes nothing over this connection any more, and says why: it is to be closed, and tried again.
    TryAgain(Refuse),
    /// The stream is at its end.
    Over(Fault),
    /// The peer speaks another language: the connection is to be closed, and tried again.
    Nonsense,
}

/// A stream, from the writer's side.
#[derive(Debug)]
pub struct Outbox {
    chain: Chain,
    /// How far the log has it.
    acknowledged: Head,
    /// What comes after that.
    kept: VecDeque<Kept>,
    bytes: usize,
    /// How many of them went over this connection.
    sent: usize,
    is_welcome: bool,
    fault: Option<Fault>,
}

#[derive(Debug)]
struct Kept {
    after: Head,
    carried: Carried,
}

impl Outbox {
    /// A stream without records.
    pub fn new(stream: StreamName) -> Self {
        Self {
            chain: Chain::new(stream),
            acknowledged: Head::default(),
            kept: VecDeque::new(),
            bytes: 0,
            sent: 0,
            is_welcome: false,
            fault: None,
        }
    }

    /// Its name.
    pub fn stream(&self) -> &StreamName {
        self.chain.stream()
    }

    /// How far the writer has it.
    pub fn head(&self) -> Head {
        self.chain.head()
    }

    /// How far the log has it.
    pub fn acknowledged(&self) -> Head {
        self.acknowledged
    }

    /// Whether the log has welcomed it over the connection that there is.
    pub fn is_welcome(&self) -> bool {
        self.is_welcome
    }

    /// Why it is at its end, once it is.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether there is room now for a record with a payload of so many bytes. One that is long has room when nothing else is there.
    pub fn has_room(&self, urgency: Urgency, payload: usize) -> bool {
        let most = match urgency {
            Urgency::Begins => MOST,
            Urgency::Ends => MOST.saturating_add(FOR_ENDS),
        };
        self.kept.is_empty() || self.bytes.saturating_add(payload) < most
    }

    /// Takes the next record, and says its number. `payload`: the salt and payload that it is committed to, if any.
    pub fn put(
        &mut self,
        urgency: Urgency,
        (at, about): (Time, About),
        what: What,
        payload: Vec<u8>,
    ) -> Result<Count, NotTaken> {
        if let Some(fault) = self.fault {
            return Err(NotTaken::Over(fault));
        }
        // Before it has a place: what can't be sent would keep everything behind it here for good.
        if payload.len() > LONGEST_PAYLOAD {
            return Err(NotTaken::LongPayload);
        }
        if !self.has_room(urgency, payload.len()) {
            return Err(NotTaken::Full);
        }
        let n = self.chain.head().count;
        let Leaf { text, .. } = self.chain.next(at, about, what).map_err(|_| NotTaken::TooLong)?;
        let carried = Carried { leaf: text, payload };
        self.bytes = self.bytes.saturating_add(carried.length());
        self.kept.push_back(Kept { after: self.chain.head(), carried });
        Ok(n)
    }

    /// A connection is there: the first frame that goes over it.
    pub fn connected(&mut self) -> Frame {
        self.disconnected();
        Frame::Hello(Hello { head: self.acknowledged, stream: self.chain.stream().clone() })
    }

    /// The connection is gone: what went over it is sent again, unless the log says that it has it.
    pub fn disconnected(&mut self) {
        self.sent = 0;
        self.is_welcome = false;
    }

    /// The next frame to send, if there is any.
    pub fn to_send(&mut self) -> Option<Frame> {
        if !self.is_welcome || self.fault.is_some() {
            return None;
        }
        let mut length = 0_usize;
        let fits = |kept: &&Kept| {
            let first = length == 0;
            length = length.saturating_add(kept.carried.length());
            first || length <= FRAME
        };
        let records: Vec<Carried> =
            self.kept.iter().skip(self.sent).take_while(fits).map(|kept| kept.carried.clone()).collect();
        if records.is_empty() {
            return None;
        }
        let sent = u64::try_from(self.sent).unwrap_or(u64::MAX);
        let n = Count::of(self.acknowledged.count.get().saturating_add(sent));
        self.sent = self.sent.saturating_add(records.len());
        Some(Frame::Append(Append { n, records }))
    }

    /// Hears a frame of the log.
    pub fn hear(&mut self, frame: Frame) -> Heard {
        match frame {
            Frame::Welcome(Welcome { head, used, .. }) if !self.is_welcome => {
                if !self.reaches(head) {
                    return self.over(Fault::Forgot);
                }
                self.is_welcome = true;
                Heard::Welcome(used)
            }
            Frame::Ack(count) if self.is_welcome => {
                let sent = self
                    .acknowledged
                    .count
                    .get()
                    .saturating_add(u64::try_from(self.sent).unwrap_or(u64::MAX));
                if count.get() > sent {
                    return Heard::Nonsense;
                }
                self.drop_below(count);
                Heard::Acknowledged(self.acknowledged.count)
            }
            Frame::Refuse(refuse) => match refuse.code {
                Code::Forgot => self.over(Fault::Forgot),
                code @ (Code::Identity | Code::Record | Code::Order | Code::Text | Code::Closed) => {
                    self.over(Fault::Refused(code))
                }
                Code::Malformed | Code::Full | Code::Busy | Code::Stopping => Heard::TryAgain(refuse),
            },
            Frame::Welcome(_) | Frame::Ack(_) | Frame::Hello(_) | Frame::Append(_) => Heard::Nonsense,
        }
    }

    fn over(&mut self, fault: Fault) -> Heard {
        self.fault = Some(fault);
        Heard::Over(fault)
    }

    /// Whether the log is as far as it said, and with these records: then what it has is kept no longer.
    fn reaches(&mut self, log: Head) -> bool {
        if log == self.acknowledged {
            return true;
        }
        let is_ours = self.kept.iter().any(|kept| kept.after == log);
        if is_ours {
            self.drop_below(log.count);
        }
        is_ours
    }

    fn drop_below(&mut self, count: Count) {
        while self.acknowledged.count < count
            && let Some(Kept { after, carried }) = self.kept.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(carried.length());
            self.sent = self.sent.saturating_sub(1);
            self.acknowledged = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use record::LONGEST;
    use record::frame::{HEADER, LONGEST_BODY};
    use record::kinds::proxy::SessionOpen;
    use record::samples::{at, proxy_stream, session_open};

    use super::*;

    /// How far the same stream is with other records.
    fn other(count: usize) -> Head {
        let mut chain = Chain::new(proxy_stream(1, 1));
        for _ in 0..count {
            chain.next(at(7), About::default(), session_open(9)).unwrap();
        }
        chain.head()
    }

    fn put(outbox: &mut Outbox, payload: usize) -> Result<Count, NotTaken> {
        outbox.put(Urgency::Begins, (at(0), About::default()), session_open(1), vec![0; payload])
    }

    fn welcome(head: Head) -> Frame {
        let root = other(1).last.unwrap();
        Frame::Welcome(Welcome { head, size: Count::of(0), root, used: Used::default() })
    }

    fn sent(outbox: &mut Outbox) -> Vec<(u64, usize)> {
        let frames = std::iter::from_fn(|| outbox.to_send());
        frames
            .map(|frame| match frame {
                Frame::Append(Append { n, records }) => (n.get(), records.len()),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn what_is_not_acknowledged_is_sent_again_and_what_the_log_has_is_not() {
        let mut outbox = Outbox::new(proxy_stream(1, 1));
        for _ in 0..3 {
            put(&mut outbox, 0).unwrap();
        }
        assert!(outbox.to_send().is_none(), "nobody is connected");
        outbox.connected();
        assert!(outbox.to_send().is_none(), "nobody is welcome");
        assert_eq!(outbox.hear(welcome(Head::default())), Heard::Welcome(Used::default()));
        assert_eq!(sent(&mut outbox), [(0, 3)]);
        assert_eq!(outbox.hear(Frame::Ack(Count::of(1))), Heard::Acknowledged(Count::of(1)));
        put(&mut outbox, 0).unwrap();
        assert_eq!(sent(&mut outbox), [(3, 1)]);
        // Two more were on the disk when the connection broke.
        let on_disk = outbox.kept[1].after;
        outbox.connected();
        assert_eq!(outbox.hear(welcome(on_disk)), Heard::Welcome(Used::default()));
        assert_eq!(outbox.acknowledged(), on_disk);
        assert_eq!(sent(&mut outbox), [(3, 1)]);
        assert_eq!(outbox.hear(Frame::Ack(Count::of(4))), Heard::Acknowledged(Count::of(4)));
        assert_eq!((outbox.acknowledged(), outbox.bytes), (outbox.head(), 0));
    }

    #[test]
    fn a_log_that_has_less_than_it_said_or_other_records_ends_the_stream() {
        for wrong in [Head::default(), other(1), other(2), other(3)] {
            let mut outbox = Outbox::new(proxy_stream(1, 1));
            put(&mut outbox, 0).unwrap();
            put(&mut outbox, 0).unwrap();
            outbox.connected();
            outbox.hear(welcome(Head::default()));
            sent(&mut outbox);
            outbox.hear(Frame::Ack(Count::of(1)));
            outbox.connected();
            assert_eq!(outbox.hear(welcome(wrong)), Heard::Over(Fault::Forgot), "{wrong:?}");
            assert_eq!(put(&mut outbox, 0), Err(NotTaken::Over(Fault::Forgot)));
            assert!(outbox.to_send().is_none());
        }
    }

    #[test]
    fn an_acknowledgement_of_what_was_not_sent_is_nonsense() {
        let mut outbox = Outbox::new(proxy_stream(1, 1));
        put(&mut outbox, 0).unwrap();
        outbox.connected();
        assert_eq!(outbox.hear(Frame::Ack(Count::of(0))), Heard::Nonsense, "before the welcome");
        outbox.hear(welcome(Head::default()));
        assert_eq!(outbox.hear(Frame::Ack(Count::of(1))), Heard::Nonsense);
        assert_eq!(outbox.acknowledged(), Head::default());
        assert_eq!(outbox.hear(welcome(Head::default())), Heard::Nonsense, "twice");
    }

    #[test]
    fn four_mebibytes_are_kept_and_how_things_went_has_more_room() {
        let mut outbox = Outbox::new(proxy_stream(1, 1));
        let long = 3 << 20;
        put(&mut outbox, long).unwrap();
        assert_eq!(put(&mut outbox, 1 << 20), Err(NotTaken::Full));
        put(&mut outbox, 1 << 19).unwrap();
        let mut ends = 0;
        let end = |outbox: &mut Outbox| {
            outbox.put(Urgency::Ends, (at(0), About::default()), session_open(1), vec![0; 1 << 18])
        };
        while end(&mut outbox).is_ok() {
            ends += 1;
        }
        assert_eq!(ends, 5);
        assert_eq!(put(&mut outbox, 0), Err(NotTaken::Full));
        // Frames stay short, and one that is long travels alone.
        outbox.connected();
        outbox.hear(welcome(Head::default()));
        assert_eq!(sent(&mut outbox)[..2], [(0, 1), (1, 1)]);
        let all = outbox.head().count;
        outbox.hear(Frame::Ack(all));
        put(&mut outbox, LONGEST_PAYLOAD).unwrap();
    }

    #[test]
    fn what_no_frame_can_carry_takes_no_place_and_the_longest_that_one_can_is_sent() {
        let mut outbox = Outbox::new(proxy_stream(1, 1));
        outbox.connected();
        outbox.hear(welcome(Head::default()));
        for length in [LONGEST_PAYLOAD + 1, LONGEST_BODY] {
            assert_eq!(put(&mut outbox, length), Err(NotTaken::LongPayload));
        }
        assert_eq!((outbox.head(), outbox.bytes), (Head::default(), 0));
        assert!(outbox.to_send().is_none());
        let what = longest_session_open();
        outbox.put(Urgency::Begins, (at(0), About::default()), what, vec![0; LONGEST_PAYLOAD]).unwrap();
        let frame = outbox.to_send().unwrap();
        let mut bytes = Vec::new();
        frame.encode(&mut bytes).unwrap();
        assert_eq!(bytes.len(), HEADER + LONGEST_BODY, "a frame to its last byte");
    }

    /// As long as a record may be, to the last byte.
    #[allow(clippy::arithmetic_side_effects)]
    fn longest_session_open() -> What {
        let with = |letters: usize| {
            let What::SessionOpen(open) = session_open(1) else { panic!() };
            What::SessionOpen(SessionOpen { user: "u".repeat(letters), ..open })
        };
        let length = |what| {
            let leaf = Chain::new(proxy_stream(1, 1)).next(at(0), About::default(), what).unwrap();
            leaf.text.len()
        };
        with(1 + LONGEST - length(with(1)))
    }

    #[test]
    fn what_another_try_can_mend_is_tried_again_and_nothing_else() {
        for code in Code::ALL.iter().copied() {
            let mut outbox = Outbox::new(proxy_stream(1, 1));
            outbox.connected();
            let refuse = Refuse { code, sentence: String::new() };
            let again = matches!(code, Code::Malformed | Code::Full | Code::Busy | Code::Stopping);
            let heard = outbox.hear(Frame::Refuse(refuse.clone()));
            assert_eq!(heard == Heard::TryAgain(refuse), again, "{code:?}");
            assert_eq!(outbox.fault().is_none(), again, "{code:?}");
        }
    }
}
