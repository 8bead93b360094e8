//! Tests with the real models and with photographs of strangers, from the assets folder.
#![expect(clippy::disallowed_methods, reason = "these tests read the assets folder; the code under test reads nothing")]
#![expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]

use std::path::PathBuf;
use std::sync::LazyLock;

use image::{DynamicImage, GenericImage, ImageFormat, RgbImage, imageops};

use super::*;
use crate::{oracle, profiles};

fn assets() -> PathBuf {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")));
    variable("COMMONS_ASSETS").or_else(|| data.map(|data| data.join("trust-commons/assets"))).unwrap_or_default()
}

fn asset(name: &str) -> Vec<u8> {
    let path = assets().join(name);
    std::fs::read(&path).unwrap_or_else(|_| panic!("{} is missing; run `./x assets` and test again", path.display()))
}

fn models() -> Models {
    Models {
        detect: asset("models/fr_detect.onnx"),
        landmark: asset("models/fr_landmark.onnx"),
        embed: asset("models/fr_feature.onnx"),
    }
}

fn profile() -> Profile {
    profiles::by_id("face-512").unwrap()
}

static CAPTURER: LazyLock<Capturer> = LazyLock::new(|| Capturer::new(&profile(), models()).unwrap());

fn orl(subject: usize, sample: usize) -> Vec<u8> {
    asset(&format!("faces/orl/s{subject}/{sample}.pgm"))
}

fn portrait(name: &str) -> DynamicImage {
    image::load_from_memory(&asset(&format!("faces/portraits/{name}.jpg"))).unwrap()
}

fn png(image: &DynamicImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn refusal(image: &DynamicImage) -> QualityError {
    match CAPTURER.embedding(&png(image)) {
        Err(Error::Quality(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(embedding) => panic!("accepted: {:?}", embedding.quality()),
    }
}

/// Multiplies every sample by `factor`.
fn lit(image: &DynamicImage, factor: f32) -> DynamicImage {
    let mut image = image.to_rgb8();
    image.iter_mut().for_each(|v| *v = picture::to_sample(f32::from(*v) * factor));
    image.into()
}

#[test]
fn people_match_themselves_and_nobody_else() {
    let templates: Vec<Vec<Template>> =
        (1..=6).map(|subject| [1, 4, 7].map(|sample| CAPTURER.template(&orl(subject, sample)).unwrap()).to_vec()).collect();
    let matching = profile().matching;
    for (a, first) in templates.iter().enumerate() {
        for (b, second) in templates.iter().enumerate() {
            for (probe, record) in first.iter().flat_map(|p| second.iter().map(move |r| (p, r))) {
                assert_eq!(oracle::matches(probe, record, &matching).unwrap(), a == b, "subjects {} and {}", a + 1, b + 1);
            }
        }
    }
}

#[test]
fn a_photograph_gives_one_unit_vector_whatever_its_size() {
    let small = portrait("female/1");
    let large = small.resize(900, 900, imageops::FilterType::CatmullRom);
    let [a, b] = [&small, &large].map(|image| CAPTURER.embedding(&png(image)).unwrap());
    let norm: f32 = a.values().iter().map(|v| v * v).sum();
    assert!((norm - 1.0).abs() < 1e-5);
    let cosine: f32 = a.values().iter().zip(b.values()).map(|(x, y)| x * y).sum();
    assert!(cosine > 0.9, "{cosine}");
    // The same bytes give the same vector, on any thread.
    let again = std::thread::scope(|scope| scope.spawn(|| CAPTURER.embedding(&png(&small)).unwrap()).join().unwrap());
    assert_eq!(a.values(), again.values());
    assert_eq!(format!("{a:?}"), "FaceEmbedding(<redacted>)");
}

#[test]
fn no_face_is_refused() {
    let noise = RgbImage::from_fn(200, 200, |x, y| image::Rgb([(x * 7 + y * 13) as u8, (x * y) as u8, (x ^ y) as u8]));
    assert_eq!(refusal(&noise.into()), QualityError::NoFace);
    let empty = RgbImage::from_pixel(300, 200, image::Rgb([128, 128, 128]));
    assert_eq!(refusal(&empty.into()), QualityError::NoFace);
    let pixel = RgbImage::from_pixel(1, 1, image::Rgb([128, 128, 128]));
    assert_eq!(refusal(&pixel.into()), QualityError::NoFace);
}

#[test]
fn two_faces_are_refused() {
    let mut both = RgbImage::new(256, 128);
    both.copy_from(&portrait("female/1").to_rgb8(), 0, 0).unwrap();
    both.copy_from(&portrait("male/1").to_rgb8(), 128, 0).unwrap();
    let error = refusal(&both.into());
    assert_eq!(error, QualityError::SeveralFaces { found: 2 });
    assert!(error.to_string().starts_with("Two faces were found. Step away from others"));
}

#[test]
fn a_tiny_face_is_refused() {
    let mut scene = RgbImage::from_pixel(320, 240, image::Rgb([150, 150, 150]));
    let small = portrait("female/1").resize(56, 56, imageops::FilterType::Triangle).to_rgb8();
    scene.copy_from(&small, 130, 90).unwrap();
    assert!(matches!(refusal(&scene.into()), QualityError::TooSmall { .. }));
}

#[test]
fn a_dark_face_and_a_dazzled_one_are_refused() {
    let face = image::load_from_memory(&orl(1, 1)).unwrap();
    assert_eq!(refusal(&lit(&face, 0.05)), QualityError::TooDark);
    assert_eq!(refusal(&lit(&face, 12.0)), QualityError::TooBright);
    assert!(CAPTURER.embedding(&png(&lit(&face, 0.6))).is_ok());
}

#[test]
fn a_blurred_face_is_refused() {
    let large = portrait("female/1").resize(512, 512, imageops::FilterType::CatmullRom);
    assert!(CAPTURER.embedding(&png(&large)).is_ok());
    assert_eq!(refusal(&large.blur(8.0)), QualityError::Blurred);
}

#[test]
fn a_picture_on_its_side_is_named_so() {
    let face = portrait("female/1");
    for turned in [face.rotate90(), face.rotate270()] {
        assert!(matches!(refusal(&turned), QualityError::NotUpright { .. }));
    }
}

#[test]
fn models_must_be_those_of_the_profile() {
    let mut models = models();
    models.landmark[1000] ^= 1;
    let error = Capturer::new(&profile(), models.clone()).unwrap_err();
    assert_eq!(error, Error::WrongModel { file: "fr_landmark.onnx".to_owned() });
    assert!(error.to_string().contains("./x assets"));
    models.landmark.clear();
    assert!(matches!(Capturer::new(&profile(), models), Err(Error::WrongModel { .. })));
    let iris = profiles::by_id("iris-12800").unwrap();
    assert!(matches!(Capturer::new(&iris, self::models()), Err(Error::CaptureTable(_))));
}

/// A model of the right name and hash that does something else is refused at capture, not a panic.
#[test]
fn swapped_models_are_errors() {
    let mut profile = profile();
    let capture = profile.capture.as_mut().unwrap();
    let landmark = capture["landmark"]["model"].clone();
    capture["embed"].as_table_mut().unwrap().insert("model".to_owned(), landmark);
    let models = Models { embed: models().landmark, ..models() };
    let capturer = Capturer::new(&profile, models).unwrap();
    assert!(matches!(capturer.embedding(&orl(1, 1)), Err(Error::Model { .. })));
}

#[test]
fn denormal_weights_are_found_in_the_real_models() {
    let cleared = |name: &str| network::cleared_denormals(&mut asset(&format!("models/{name}.onnx")));
    assert_eq!(["fr_detect", "fr_landmark", "fr_feature"].map(cleared), [0, 26_567, 176_911]);
}
