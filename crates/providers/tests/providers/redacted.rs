//! Whatever a manifest knows by its shape, the redactor takes out of logs and errors.

use coderclaw_providers::Registry;
use coderclaw_types::{MASK, Secret, redact};

/// One made-up credential for every pattern of a built-in manifest.
const SAMPLES: &[(&str, &str, &str)] = &[
    (
        "anthropic",
        r"^sk-ant-oat01-\S{67,}$",
        "sk-ant-oat01-canarycanarycanarycanarycanarycanarycanarycanarycanarycanarycanarycanary",
    ),
    ("anthropic", "^sk-ant-api", "sk-ant-api03-canarycanarycanary"),
];

/// G3: a new pattern wants a sample here, and the redactor has to mask it.
#[test]
fn g3_every_pattern_has_a_sample_that_is_masked() {
    let registry = Registry::built_in();
    let mut count = 0;
    for manifest in registry.iter() {
        for method in manifest.auth.iter() {
            let Some(pattern) = method.pattern.as_deref() else { continue };
            let sample = SAMPLES.iter().find(|(id, known, _)| *id == manifest.id && *known == pattern);
            let Some((.., sample)) = sample else { panic!("{}: no sample for {pattern}", manifest.id) };
            method.accepts(&Secret::from(*sample)).unwrap();
            assert_eq!(redact(&format!("it says {sample}.")), format!("it says {MASK}"), "{pattern}");
            count += 1;
        }
    }
    assert_eq!(count, SAMPLES.len(), "a sample of no pattern");
}
