//! The check of one file against the specification's keys and types, with the casts of strings.

mod cast;
mod check;
mod hint;
#[cfg(test)]
mod spec_test;
mod table;

pub(crate) use check::check;
pub(crate) use table::{SERVICE, TOP};

/// Keys and the types of their values, sorted by key.
pub(crate) type Fields = &'static [(&'static str, Ty)];

/// The type of a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ty {
    /// A string.
    Str,
    /// A string or a number.
    NumStr,
    /// A string, a number or a boolean.
    Scalar,
    /// A boolean or a string that stays one (`provenance`).
    BoolStr,
    /// A whole number, or a string that stays one (sizes).
    IntStr,
    /// A boolean.
    StrictBool,
    /// A whole number.
    StrictInt,
    /// A number.
    StrictNum,
    /// A boolean, or a string that says one.
    Bool,
    /// A whole number, or a string that says one.
    Int,
    /// A number, or a string that says one.
    Num,
    /// One of these words.
    Enum(&'static [&'static str]),
    /// A list of these.
    List(&'static Ty),
    /// That, none twice.
    Unique(&'static Ty),
    /// That; what is there twice counts once.
    Collapsed(&'static Ty),
    /// A string, or a list of strings; one that is there twice counts once.
    StrOrList,
    /// A string, a list of strings, or nothing.
    Command,
    /// `[K=v]` or `{K: v}`; the last of a key counts.
    ListOrMap,
    /// `[host=ip]`, `{host: ip}` or `{host: [ip]}`.
    Hosts,
    /// A list of names, or a mapping of them.
    StrsOrMap(&'static Ty),
    /// A mapping with these keys.
    Obj(Fields),
    /// That, or a mapping with these keys.
    OrMap(&'static Ty, Fields),
    /// One of the first, or a list of the second.
    OrList(&'static Ty, &'static Ty),
    /// A mapping with any keys.
    MapOf(&'static Ty),
    /// A mapping whose keys are names of services, networks and so on.
    Named(&'static Ty),
    /// That, or nothing.
    OrNull(&'static Ty),
    /// A field that has to be there.
    Must(&'static Ty),
    /// Anything.
    Any,
}
