//! The judgement on what the walker found: functions, tables and variables by allowlist. It sees findings only,
//! never a tree and never the text.

use crate::facts::{Facts, TableName};
use crate::mysql::columns::context::Context;
use crate::mysql::judge::functions::{self, BuiltIn};
use crate::mysql::judge::schemas;
use crate::mysql::judge::secrets::Secrets;
use crate::mysql::server::Server;
use crate::mysql::text::lexer::{Kind, Lexed};
use crate::mysql::walk::{Call, Findings, FoundTable};
use crate::refusal::{Reason, Refusal, shown};
use access::{Allowances, QualifiedName};

/// What the judgement depends on besides the findings.
#[derive(Clone, Copy)]
pub(crate) struct Policy<'a> {
    /// What the `Database` allows.
    pub(crate) allowances: &'a Allowances,
    /// The session's current schema.
    pub(crate) default_schema: Option<&'a str>,
    /// The server.
    pub(crate) server: Server,
    /// The trace of columns, when there is one.
    pub(crate) columns: Option<&'a Context<'a>>,
    /// What the server's variables must not tell.
    pub(crate) secrets: &'a Secrets,
    /// Which functions of a component the server has, in lower case.
    pub(crate) loaded: &'a [String],
}

impl Policy<'_> {
    /// Judges the findings and turns them into facts.
    ///
    /// # Errors
    /// The first finding that is not allowed.
    pub(crate) fn judge(&self, findings: &Findings, lexed: &Lexed<'_>) -> Result<Facts, Refusal> {
        let mut facts = Facts::default();
        for table in &findings.tables {
            let name = self.table(table).map_err(|refusal| refusal.at(lexed.place(table.index)))?;
            facts.tables.insert(name);
        }
        for call in &findings.calls {
            self.call(call, &mut facts).map_err(|refusal| refusal.at(lexed.place(call.index)))?;
        }
        for index in &findings.variables {
            let name = lexed.name(*index);
            if lexed.kind(*index) == Some(Kind::SystemVariable) {
                self.secrets.may_read(&name).map_err(|refusal| refusal.at(lexed.place(*index)))?;
            }
            facts.variables_read.insert(name.to_lowercase());
        }
        Ok(facts)
    }

    /// A schema that is used: written, or the session's.
    pub(crate) fn table_name(&self, schema: Option<&str>, name: &str) -> Result<TableName, Refusal> {
        let schema = schema.or(self.default_schema);
        if let Some(schema) = schema {
            let allowed = schemas::is_open(schema, name) || self.is_allowed_schema(schema);
            if !allowed {
                let what =
                    format!("{schema}.{name} is a table of the server's own that is not open to readers");
                return Err(Refusal::new(Reason::Table, what));
            }
            self.secrets.may_read_table(schema, name)?;
        }
        Ok(TableName { schema: schema.map(str::to_owned), name: name.to_owned() })
    }

    /// May the session work in this schema?
    pub(crate) fn schema(&self, schema: &str) -> Result<(), Refusal> {
        if schemas::may_be_current(schema) || self.is_allowed_schema(schema) {
            return Ok(());
        }
        let schema = shown(schema);
        let what = format!("the schema {schema} is the server's own and not open to readers");
        Err(Refusal::new(Reason::Schema, what))
    }

    fn is_allowed_schema(&self, schema: &str) -> bool {
        let Allowances { functions: _, schemas } = self.allowances;
        schemas.iter().any(|open| open.eq_ignore_ascii_case(schema))
    }

    fn table(&self, table: &FoundTable) -> Result<TableName, Refusal> {
        self.table_name(table.schema.as_deref(), &table.name)
    }

    fn call(&self, call: &Call, facts: &mut Facts) -> Result<(), Refusal> {
        match call.name.as_slice() {
            [name] if !call.quoted => self.unqualified(name, call, facts),
            [name] => {
                // In backticks some built-in names call the built-in function and some a stored one.
                if self.built_in(name) != BuiltIn::Unknown {
                    let name = shown(name);
                    let what = format!("`{name}` in quotes may be a stored function; take the quotes off");
                    return Err(Refusal::new(Reason::StoredFunction, what));
                }
                self.stored(self.default_schema, name, facts)
            }
            [schema, name] => self.stored(Some(schema), name, facts),
            _ => Err(Refusal::new(Reason::Syntax, "a function's name of too many parts")),
        }
    }

    fn unqualified(&self, name: &str, call: &Call, facts: &mut Facts) -> Result<(), Refusal> {
        if call.spaced && functions::needs_parenthesis_at_once(name, self.server) {
            let what = format!(
                "{name} with a space before its parenthesis is a stored function; take the space out"
            );
            return Err(Refusal::new(Reason::StoredFunction, what));
        }
        if functions::is_stored_with(name, call.arguments, self.server.flavour) {
            return self.stored(self.default_schema, name, facts);
        }
        match self.built_in(name) {
            BuiltIn::Reading if name.eq_ignore_ascii_case("last_insert_id") && call.arguments > 0 => {
                let what = "LAST_INSERT_ID with an argument changes the session; leave the argument out";
                Err(Refusal::new(Reason::Function, what))
            }
            BuiltIn::Reading => {
                facts.functions.insert(name.to_ascii_lowercase());
                Ok(())
            }
            BuiltIn::Refused(why) => Err(Refusal::new(Reason::Function, why)),
            BuiltIn::Unknown => self.stored(self.default_schema, name, facts),
        }
    }

    /// What a name without a schema is on this server.
    fn built_in(&self, name: &str) -> BuiltIn {
        match functions::built_in(name, self.server) {
            BuiltIn::Unknown if self.loaded.iter().any(|loaded| loaded.eq_ignore_ascii_case(name)) => {
                BuiltIn::Reading
            }
            known => known,
        }
    }

    /// A stored function or an extension: only by name.
    fn stored(&self, schema: Option<&str>, name: &str, facts: &mut Facts) -> Result<(), Refusal> {
        let Allowances { functions, schemas: _ } = self.allowances;
        let allowed = schema.is_some_and(|schema| {
            let is_it = |open: &QualifiedName| {
                let QualifiedName { schema: of, name: called } = open;
                of == schema && called.eq_ignore_ascii_case(name)
            };
            functions.iter().any(is_it)
        });
        match schema {
            Some(schema) if allowed => {
                facts
                    .stored_functions
                    .insert(QualifiedName { schema: schema.to_owned(), name: name.to_owned() });
                Ok(())
            }
            _ => {
                let name = shown(name);
                let what = format!(
                    "{name} is not a built-in function that only reads; stored functions pass when the Database \
                     object names them"
                );
                Err(Refusal::new(Reason::StoredFunction, what))
            }
        }
    }
}
