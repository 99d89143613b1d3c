//! What the proxy believes of a database session is what the session is. A statement is judged by the schema that the proxy
//! has its session in: were it in another one, closed tables and hidden columns would be read under open names.

mod broken;
mod property;
