use proptest::prelude::*;

use super::*;

fn embedding(dimensions: u32) -> Embedding {
    Embedding { dimensions, scale: 100, clamp: 64, cosine_threshold: 0.5, norm_min: 0.9, norm_max: 1.1 }
}

fn iris() -> IrisCode {
    IrisCode { rows: 2, columns: 4, wavelets: 1, rotations: 3, dot_weight: 2, mask_weight: 1, mask_min: 4 }
}

#[test]
fn a_vector_becomes_scaled_rounded_integers_whatever_its_length_was() {
    let matching = embedding(4);
    let a = Template::from_embedding(&[0.5f32, -0.5, 0.5, -0.5], &matching).unwrap();
    let b = Template::from_embedding(&[7e-300f64, -7e-300, 7e-300, -7e-300], &matching).unwrap();
    let c = Template::from_embedding(&[1e300f64, -1e300, 1e300, -1e300], &matching).unwrap();
    for template in [a, b, c] {
        assert_eq!(template.coordinates().unwrap(), [50, -50, 50, -50]);
        assert_eq!(template.input_values(), [50, 0u32.wrapping_sub(50), 50, 0u32.wrapping_sub(50)]);
        assert_eq!(template.squared_norm(), 10_000);
    }
}

#[test]
fn bad_vectors_are_named() {
    let matching = embedding(4);
    let error = |v: &[f64]| Template::from_embedding(v, &matching).unwrap_err();
    assert_eq!(error(&[1.0; 3]), Error::WrongLength { what: "vector", got: 3, want: 4 });
    assert_eq!(error(&[1.0, f64::NAN, 1.0, 1.0]), Error::NotFinite { position: 1 });
    assert_eq!(error(&[1.0, 1.0, 1.0, f64::NEG_INFINITY]), Error::NotFinite { position: 3 });
    assert_eq!(error(&[0.0, -0.0, 0.0, 0.0]), Error::ZeroVector);
    // Clamping takes most of a one-hot vector away.
    assert_eq!(error(&[0.0, 0.0, 3.0, 0.0]), Error::NormOutside { got: 63 * 63, low: 9000, high: 11_000 });
}

#[test]
fn the_largest_clamp_does_not_wrap() {
    let matching = Embedding { clamp: 128, scale: 140, norm_min: 0.5, ..embedding(2) };
    let template = Template::from_embedding(&[1.0, 1e-9], &matching);
    assert_eq!(template.unwrap().coordinates().unwrap(), [127, 0]);
    let template = Template::from_embedding(&[-1.0, 1e-9], &matching);
    assert_eq!(template.unwrap().coordinates().unwrap(), [-128, 0]);
}

#[test]
fn iris_values_are_code_and_mask_then_mask_most_significant_bit_first() {
    let code = [0b1100_1010, 0b1111_0000];
    let mask = [0b1010_0110];
    let template = Template::from_iris(&code, &mask, &iris()).unwrap();
    // Mask bit i covers code bits 2i and 2i + 1.
    let k = [1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0];
    let m = [1, 0, 1, 0, 0, 1, 1, 0];
    assert_eq!(template.input_values(), [&k[..], &m[..]].concat());
    assert_eq!(template.squared_norm(), 4);
    // One bit per code bit: usable only where both are.
    let wide = [0b1100_1101, 0b1011_1100];
    let same = Template::from_iris(&code, &wide, &iris()).unwrap();
    assert_eq!(same.iris_bits(), template.iris_bits());
}

#[test]
fn bad_iris_codes_are_named() {
    let error = |code: &[u8], mask: &[u8]| Template::from_iris(code, mask, &iris()).unwrap_err();
    assert_eq!(error(&[0; 3], &[0xff]), Error::WrongLength { what: "iris code", got: 24, want: 16 });
    assert_eq!(error(&[0; 2], &[0xff; 3]), Error::WrongLength { what: "iris mask", got: 24, want: 8 });
    assert_eq!(error(&[0; 2], &[0b1110_0000]), Error::MaskTooSmall { got: 3, min: 4 });
}

#[test]
fn a_template_of_another_kind_is_refused() {
    let (vectors, irises) = (Matching::Embedding(embedding(4)), Matching::IrisCode(iris()));
    let template = Template::from_embedding(&[0.5f32; 4], &embedding(4)).unwrap();
    assert!(template.check(&vectors).is_ok());
    assert_eq!(template.check(&irises), Err(Error::WrongModality { profile: "iris codes" }));
    let longer = Matching::Embedding(embedding(5));
    assert_eq!(template.check(&longer), Err(Error::WrongLength { what: "template", got: 4, want: 5 }));
}

#[test]
fn debug_shows_nothing() {
    let template = Template::from_embedding(&[0.5f32; 4], &embedding(4)).unwrap();
    assert_eq!(format!("{template:?}"), "Template(<redacted>)");
}

proptest! {
    /// Every vector gives a template that the nodes' input checks accept, or a clear error.
    #[test]
    fn accepted_templates_pass_the_input_checks(vector in prop::collection::vec(-1e3f64..1e3, 16)) {
        let matching = Embedding { dimensions: 16, ..embedding(16) };
        if let Ok(template) = Template::from_embedding(&vector, &matching) {
            let (low, high) = matching.norm_window();
            prop_assert!((low..=high).contains(&template.squared_norm()));
            let clamp = i32::from(matching.clamp);
            for value in template.input_values() {
                prop_assert!((-clamp..clamp).contains(&value.cast_signed()));
            }
        }
    }

    #[test]
    fn iris_values_satisfy_the_input_checks(code in any::<[u8; 2]>(), mask in any::<[u8; 1]>()) {
        if let Ok(template) = Template::from_iris(&code, &mask, &iris()) {
            let values = template.input_values();
            let (k, m) = values.split_at(16);
            prop_assert!(m.iter().all(|&bit| bit <= 1));
            prop_assert!(m.iter().sum::<u32>() >= 4);
            prop_assert!(k.iter().enumerate().all(|(i, &bit)| bit <= m[i / 2]));
        }
    }
}
