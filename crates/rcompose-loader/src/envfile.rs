use crate::dotenv;

/// Reads an env file's text in Compose's default grammar; a bare name has no value.
///
/// # Errors
/// The line and what is wrong with it.
pub fn parse_env_file(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(String, Option<String>)>, String> {
    dotenv::parse(text, lookup).map_err(|f| format!("line {}: {}", f.line, f.message))
}
