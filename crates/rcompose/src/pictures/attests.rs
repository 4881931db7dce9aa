//! What is to be attested of builds: `--attest`, `--provenance`, `--sbom`, `build.provenance`, `build.sbom`.

use rcompose_build::{ProvenanceOptions, parse_bool};

use crate::context::Context;
use crate::failure::Failure;

/// Leaves out the provenance that nobody asked for.
const NO_DEFAULT: &str = "BUILDX_NO_DEFAULT_ATTESTATIONS";

/// What is to be attested.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attests {
    pub(crate) provenance: Option<ProvenanceOptions>,
    /// The name of the provenance among files.
    pub(crate) filename: Option<String>,
    /// Only images have the provenance, not files and archives.
    pub(crate) inline_only: bool,
    /// The packages in the image.
    pub(crate) sbom: bool,
}

impl Attests {
    /// As docker build and docker compose do: without a word on provenance, a short one is in the image.
    pub(crate) fn parse(
        cx: &Context,
        attest: &[String],
        provenance: Option<&str>,
        sbom: Option<&str>,
    ) -> Result<Self, Failure> {
        let mut all: Vec<String> = attest.to_vec();
        let modes = "it is true, false, mode=min or mode=max";
        for (kind, value, help) in [("provenance", provenance, modes), ("sbom", sbom, "it is true or false")]
        {
            let word = |v: &&str| !v.is_empty() && parse_bool(v).is_none() && !v.contains('=');
            if let Some(value) = value.filter(word) {
                return Err(Failure::user(format!("invalid value `{value}` for {kind}")).hint(help));
            }
            all.extend(value.filter(|v| !v.is_empty()).map(|v| match parse_bool(v) {
                Some(wanted) => format!("type={kind},disabled={}", !wanted),
                None => format!("type={kind},{v}"),
            }));
        }
        let no_default = cx.env.get(NO_DEFAULT).and_then(parse_bool).unwrap_or(false);
        let mut out = Self::default();
        if !no_default {
            out.provenance = Some(ProvenanceOptions::default());
            out.inline_only = true;
        }
        // The last of a kind counts.
        for text in &all {
            out.one(text)?;
        }
        Ok(out)
    }

    fn one(&mut self, text: &str) -> Result<(), Failure> {
        let wrong = |why: String| Failure::user(format!("the attestation `{text}`: {why}"));
        let (mut kind, mut disabled, mut rest) = (None, false, Vec::new());
        for field in text.split(',') {
            let (key, value) = field.split_once('=').ok_or_else(|| {
                wrong(format!("`{field}` has no value")).hint("write type=provenance,mode=max or type=sbom")
            })?;
            let flag = || parse_bool(value).ok_or_else(|| wrong(format!("`{key}` is true or false")));
            match key.trim().to_ascii_lowercase().as_str() {
                "type" => kind = Some(value),
                "disabled" => disabled = flag()?,
                _ => rest.push((key, value)),
            }
        }
        match kind {
            Some("provenance") => {
                *self = Self { sbom: self.sbom, ..Self::default() };
                if !disabled {
                    self.provenance(&rest, &wrong)?;
                }
                Ok(())
            }
            Some("sbom") => {
                self.sbom = !disabled;
                match rest.iter().find(|(key, _)| *key == "generator") {
                    Some((_, generator)) if !disabled => Err(Failure::unsupported(format!(
                        "the attestation `{text}`: the generator {generator} can't be run"
                    ))
                    .hint("leave it out: packages are found without one")),
                    _ => Ok(()),
                }
            }
            Some(other) => Err(wrong(format!("there is no type `{other}`")).hint("it is provenance or sbom")),
            None => Err(wrong("it has no type".to_owned()).hint("write type=provenance or type=sbom")),
        }
    }

    fn provenance(
        &mut self,
        fields: &[(&str, &str)],
        wrong: &dyn Fn(String) -> Failure,
    ) -> Result<(), Failure> {
        let mut options = ProvenanceOptions { max: true, ..ProvenanceOptions::default() };
        for (key, value) in fields {
            let flag = || parse_bool(value).ok_or_else(|| wrong(format!("`{key}` is true or false")));
            match *key {
                "mode" => {
                    options.max = match *value {
                        "max" | "full" => true,
                        "min" => false,
                        _ => return Err(wrong(format!("invalid mode `{value}`")).hint("it is min or max")),
                    }
                }
                "version" => {
                    options.old = match *value {
                        "v1" => false,
                        "v0.2" => true,
                        _ => {
                            return Err(wrong(format!("invalid version `{value}`")).hint("it is v1 or v0.2"));
                        }
                    }
                }
                "builder-id" => options.builder = (*value).to_owned(),
                "reproducible" => options.reproducible = flag()?,
                "inline-only" => self.inline_only = flag()?,
                "filename" => self.filename = Some((*value).to_owned()),
                // Steps are not measured.
                "capture-usage" if !flag()? => {}
                _ => return Err(wrong(format!("there is no attribute `{key}`"))),
            }
        }
        self.provenance = Some(options);
        Ok(())
    }
}
