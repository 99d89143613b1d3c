//! `when` of a rule: a CEL expression that is true, false, or an error. It never means "true" by accident.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use cel::{Context, Program, Value};
use jiff::Timestamp;

use super::names;

/// What an expression may speak of.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// `request.user`.
    pub user: String,
    /// `request.groups`.
    pub groups: Vec<String>,
    /// `request.submittedBy`.
    pub submitted_by: String,
    /// `request.reason`.
    pub reason: String,
    /// `request.minutes`.
    pub minutes: u16,
    /// `request.createdAt`. There is no other time: what is judged again later is judged as it was.
    pub created_at: Timestamp,
    /// `database.name`.
    pub database: String,
    /// `database.namespace`.
    pub namespace: String,
    /// `database.engine`.
    pub engine: &'static str,
    /// `database.labels`.
    pub labels: HashMap<String, String>,
}

/// Why an expression has no answer. The text of the expression is the platform team's, not a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It is not CEL.
    #[error("it does not compile: {0}")]
    Compile(String),
    /// It speaks of something else than `request` and `database`.
    #[error("it speaks of {0}; there are request and database")]
    Unknown(String),
    /// It stopped on the way, for example at a key that is not there.
    #[error("it cannot be evaluated: {0}")]
    Evaluate(String),
    /// It is neither true nor false.
    #[error("it must be true or false, and is neither")]
    NotBool,
    /// It took too long, or too deep.
    #[error("it takes too long")]
    TooLong,
}

/// Expressions are short and know little; what takes longer is a mistake or an attack.
const PATIENCE: Duration = Duration::from_secs(2);
/// The parser descends; its stack must hold the longest expression that the schema lets in.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// Whether `when` is CEL at all, and speaks of nothing that there is not.
pub fn compiles(when: &str) -> Result<(), ExpressionError> {
    let text = when.to_owned();
    aside(when, move || match names::unknown(compile(&text)?.expression(), &NAMES) {
        Some(name) => Err(ExpressionError::Unknown(name.to_owned())),
        None => Ok(()),
    })
}

/// What an expression may speak of.
const NAMES: [&str; 2] = ["request", "database"];

/// Whether the rule matches. Runs on a thread of its own, so that neither depth nor length can hurt the operator.
pub fn matches(when: &str, inputs: &Inputs) -> Result<bool, ExpressionError> {
    let (text, inputs) = (when.to_owned(), inputs.clone());
    aside(when, move || evaluate(&text, inputs))
}

/// Expressions that took too long, and how many threads still run for each: a thread cannot be stopped, and as long as one runs the
/// expression gets no other.
static LEFT: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

fn left() -> MutexGuard<'static, BTreeMap<String, usize>> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn aside<T: Send + 'static>(
    when: &str,
    work: impl FnOnce() -> Result<T, ExpressionError> + Send + 'static,
) -> Result<T, ExpressionError> {
    if left().contains_key(when) {
        return Err(ExpressionError::TooLong);
    }
    let (tell, told) = mpsc::channel();
    let (text, has_ended) = (when.to_owned(), Arc::new(AtomicBool::new(false)));
    let ended = Arc::clone(&has_ended);
    let caught = move || {
        let answer = std::panic::catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err(ExpressionError::Evaluate("the evaluator gave up".to_owned())));
        // Nobody listens any more when it took too long.
        tell.send(answer).ok();
        let mut left = left();
        ended.store(true, Ordering::Relaxed);
        if let Some(running) = left.get_mut(&text) {
            *running = running.saturating_sub(1);
        }
        left.retain(|_, running| *running > 0);
    };
    std::thread::Builder::new()
        .name("expression".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(caught)
        .map_err(|_| ExpressionError::TooLong)?;
    told.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        let mut left = left();
        // It may have ended between.
        if !has_ended.load(Ordering::Relaxed) {
            let running = left.entry(when.to_owned()).or_default();
            *running = running.saturating_add(1);
        }
        Err(ExpressionError::TooLong)
    })
}

fn compile(when: &str) -> Result<Program, ExpressionError> {
    Program::compile(when).map_err(|error| ExpressionError::Compile(first_line(&error.to_string())))
}

fn evaluate(when: &str, inputs: Inputs) -> Result<bool, ExpressionError> {
    let program = compile(when)?;
    let mut context = Context::default();
    let Inputs {
        user,
        groups,
        submitted_by,
        reason,
        minutes,
        created_at,
        database,
        namespace,
        engine,
        labels,
    } = inputs;
    // The library's own `timestamp()` makes the value, so that ours is the same kind.
    let moment = Program::compile(&format!("timestamp('{created_at:.0}')"))
        .map_err(|_| ExpressionError::Evaluate("there is no time".to_owned()))?
        .execute(&context)
        .map_err(|_| ExpressionError::Evaluate("there is no time".to_owned()))?;
    context.add_variable_from_value(
        "request",
        HashMap::from([
            ("user", Value::from(user)),
            ("groups", Value::from(groups)),
            ("submittedBy", Value::from(submitted_by)),
            ("reason", Value::from(reason)),
            ("minutes", Value::Int(i64::from(minutes))),
            ("createdAt", moment),
        ]),
    );
    context.add_variable_from_value(
        "database",
        HashMap::from([
            ("name", Value::from(database)),
            ("namespace", Value::from(namespace)),
            ("engine", Value::from(engine)),
            ("labels", Value::from(labels)),
        ]),
    );
    match program.execute(&context) {
        Ok(Value::Bool(answer)) => Ok(answer),
        Ok(_) => Err(ExpressionError::NotBool),
        Err(error) => Err(ExpressionError::Evaluate(first_line(&error.to_string()))),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn inputs() -> Inputs {
        Inputs {
            user: "requester".into(),
            groups: vec!["developers".into()],
            submitted_by: "requester".into(),
            reason: "order 7 looks wrong".into(),
            minutes: 30,
            database: "orders".into(),
            namespace: "shop".into(),
            engine: "mariadb",
            labels: HashMap::from([("tier".into(), "production".into())]),
            created_at: "2026-01-01T12:30:00Z".parse().unwrap(),
        }
    }

    fn answer(when: &str) -> Result<bool, ExpressionError> {
        matches(when, &inputs())
    }

    #[test]
    fn an_expression_that_is_not_cel_is_an_error_and_not_true() {
        for when in ["request.user ==", "", "true true", "((", "'"] {
            assert!(matches!(answer(when), Err(ExpressionError::Compile(_))), "{when}: {:?}", answer(when));
            assert!(compiles(when).is_err());
        }
    }

    #[test]
    fn an_unknown_name_or_key_is_an_error_and_not_true() {
        for when in
            ["user == 'requester'", "request.name == 'x'", "database.labels.team == 'a'", "1 / 0 == 1"]
        {
            assert!(matches!(answer(when), Err(ExpressionError::Evaluate(_))), "{when}: {:?}", answer(when));
        }
    }

    #[test]
    fn a_name_that_there_is_not_is_told_before_anybody_asks() {
        for (when, name) in [
            ("now.getHours() < 6", "now"),
            ("'oncall' in request.groups && now.getHours() < 6", "now"),
            ("request.groups.exists(group, group == team)", "team"),
            ("request.groups.exists(group, true) && group == 'a'", "group"),
            ("{'a': [x]}.size() == 1", "x"),
            ("has(requests.user)", "requests"),
        ] {
            assert_eq!(compiles(when), Err(ExpressionError::Unknown(name.to_owned())), "{when}");
        }
        for when in [
            "database.labels.tier == 'a'",
            "request.groups.exists(group, group == 'a')",
            "request.groups.filter(group, group != 'b').map(group, group + 'x').all(name, name.size() > 1)",
            "type(request.minutes) == int && 1 / 0 == 1",
        ] {
            assert_eq!(compiles(when), Ok(()), "{when}");
        }
    }

    #[test]
    fn what_is_neither_true_nor_false_is_an_error() {
        for when in ["1", "'true'", "request", "null"] {
            assert_eq!(answer(when), Err(ExpressionError::NotBool), "{when}");
        }
    }

    #[test]
    fn an_expression_that_is_too_deep_or_never_ends_is_an_error() {
        let deep = format!("{}true{}", "(".repeat(500), ")".repeat(500));
        let _ = answer(&deep);
        let list = format!("[{}]", vec!["1"; 200].join(","));
        let endless =
            format!("{list}.all(a, {list}.all(b, {list}.all(c, {list}.all(d, a + b + c + d > 0))))");
        assert_eq!(answer(&endless), Err(ExpressionError::TooLong));
        // The second time it is not tried.
        let began = std::time::Instant::now();
        assert_eq!(answer(&endless), Err(ExpressionError::TooLong));
        assert!(began.elapsed() < PATIENCE / 2);
        assert_eq!(answer("request.user == 'requester'"), Ok(true), "others are");
    }

    #[test]
    fn rules_may_speak_of_request_database_and_time() {
        for when in [
            "true",
            "request.user == 'requester' && 'developers' in request.groups",
            "request.minutes <= 30 && request.reason.size() > 5 && request.submittedBy == request.user",
            "database.name == 'orders' && database.namespace == 'shop' && database.engine == 'mariadb'",
            "database.labels['tier'] == 'production' && !has(database.labels.team)",
            "request.createdAt.getHours() == 12 && request.createdAt.getHours('Europe/Berlin') == 13 && request.createdAt > timestamp('2025-12-31T00:00:00Z')",
            "request.reason.matches('^order [0-9]+')",
        ] {
            assert_eq!(answer(when), Ok(true), "{when}");
        }
        assert_eq!(answer("request.user == 'stranger'"), Ok(false));
    }
}
