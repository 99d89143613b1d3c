//! How many connections readers have at once, once it is known who they are: of each person, of all of them, and of the operator, who has places
//! of its own. Whoever has too many is told on some more, and beyond those hears nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Caller;
use super::reader::Reader;

/// How many connections of one person are answered.
const OF_ONE: usize = 8;

/// How many of all persons.
const OF_ALL: usize = 64;

/// How many of the operator, which asks over a new one each time.
const OF_OPERATOR: usize = 256;

/// Who is connected. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Guests(Arc<Mutex<Connected>>);

#[derive(Default)]
struct Connected {
    operator: usize,
    /// Of each person, who has at least one.
    persons: HashMap<String, usize>,
}

/// A connection that is counted until this is dropped.
pub(super) struct Guest {
    guests: Guests,
    /// `None`: the operator.
    person: Option<String>,
    /// Whether it gets answers, and not only hears that it is one too many.
    pub(super) is_answered: bool,
}

impl Guests {
    /// Lets in whom there is room for.
    pub(super) fn enters(&self, caller: &Caller) -> Option<Guest> {
        let mut connected = self.locked();
        let person = match caller.reader {
            Reader::Operator => None,
            Reader::Auditor(_) | Reader::Eraser(_) => Some(caller.person.clone()),
        };
        let bounds = match &person {
            None => vec![(connected.operator, OF_OPERATOR)],
            Some(person) => {
                let own = connected.persons.get(person).copied().unwrap_or_default();
                vec![(own, OF_ONE), (connected.persons.values().sum(), OF_ALL)]
            }
        };
        // Half as many more are told.
        if bounds.iter().any(|(count, most)| *count >= most.saturating_add(most / 2)) {
            return None;
        }
        let count = match &person {
            None => &mut connected.operator,
            Some(person) => connected.persons.entry(person.clone()).or_default(),
        };
        *count = count.saturating_add(1);
        let is_answered = bounds.iter().all(|(count, most)| count < most);
        Some(Guest { guests: self.clone(), person, is_answered })
    }

    fn locked(&self) -> MutexGuard<'_, Connected> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut connected = self.guests.locked();
        let Some(person) = &self.person else {
            connected.operator = connected.operator.saturating_sub(1);
            return;
        };
        let left = connected.persons.get(person).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            connected.persons.remove(person);
        } else {
            connected.persons.insert(person.clone(), left);
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::super::reader::Scope;
    use super::*;

    fn person(number: usize) -> Caller {
        Caller { reader: Reader::Auditor(Scope::All), person: format!("keyhole://audit/* person-{number}") }
    }

    fn operator() -> Caller {
        Caller { reader: Reader::Operator, person: "keyhole://operator".into() }
    }

    /// How many of so many connections are answered, told, and neither.
    fn come(guests: &Guests, caller: impl Fn(usize) -> Caller, count: usize) -> (Vec<Guest>, [usize; 3]) {
        let (mut all, mut outcomes) = (Vec::new(), [0; 3]);
        for number in 0..count {
            let guest = guests.enters(&caller(number));
            let outcome = guest.as_ref().map_or(2, |guest| usize::from(!guest.is_answered));
            outcomes[outcome] += 1;
            all.extend(guest);
        }
        (all, outcomes)
    }

    #[test]
    fn whoever_has_too_many_connections_is_told_and_is_in_nobody_elses_way() {
        let guests = Guests::default();
        let (held, outcomes) = come(&guests, |_| person(0), 100);
        assert_eq!(outcomes, [OF_ONE, OF_ONE / 2, 100 - OF_ONE - OF_ONE / 2]);
        assert!(guests.enters(&person(1)).unwrap().is_answered);
        assert!(guests.enters(&operator()).unwrap().is_answered);
        drop(held);
        assert!(guests.enters(&person(0)).unwrap().is_answered);
        assert!(guests.locked().persons.is_empty(), "nobody is remembered who is gone");
    }

    #[test]
    fn all_persons_together_have_a_bound_and_the_operator_one_of_its_own() {
        let guests = Guests::default();
        let (_persons, outcomes) = come(&guests, person, 1000);
        assert_eq!(outcomes, [OF_ALL, OF_ALL / 2, 1000 - OF_ALL - OF_ALL / 2]);
        let (_operators, outcomes) = come(&guests, |_| operator(), 1000);
        assert_eq!(outcomes, [OF_OPERATOR, OF_OPERATOR / 2, 1000 - OF_OPERATOR - OF_OPERATOR / 2]);
    }
}
