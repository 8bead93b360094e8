use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder, codecs::png::PngEncoder};

use super::*;

/// 24 x 16: left half red, right half blue, top row white.
fn samples() -> Vec<u8> {
    let pixel = |x: usize, y: usize| match (x, y) {
        (_, 0) => [255, 255, 255],
        (0..12, _) => [200, 0, 0],
        _ => [0, 0, 200],
    };
    (0..16).flat_map(|y| (0..24).flat_map(move |x| pixel(x, y))).collect()
}

fn png() -> Vec<u8> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(&samples(), 24, 16, ExtendedColorType::Rgb8).unwrap();
    bytes
}

fn jpeg() -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 95).write_image(&samples(), 24, 16, ExtendedColorType::Rgb8).unwrap();
    bytes
}

/// The JPEG with an EXIF segment that says how the camera was held.
fn jpeg_with_orientation(orientation: u8) -> Vec<u8> {
    let tiff =
        [&b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"[..], &[orientation, 0, 0, 0, 0, 0, 0]].concat();
    let length = u16::try_from(tiff.len() + 2).unwrap().to_be_bytes();
    let plain = jpeg();
    [&plain[..2], &[0xff, 0xe1], &length, &tiff, &plain[2..]].concat()
}

fn error(bytes: &[u8]) -> Error {
    Picture::decode(bytes).err().unwrap()
}

#[test]
fn the_three_formats_are_read() {
    let picture = Picture::decode(&png()).unwrap();
    assert_eq!((picture.width(), picture.height()), (24, 16));
    assert_eq!(picture.samples(), samples());
    let picture = Picture::decode(&jpeg()).unwrap();
    assert_eq!((picture.width(), picture.height()), (24, 16));
    let picture = Picture::decode(b"P5\n2 2\n255\n\x00\x40\x80\xff").unwrap();
    assert_eq!(picture.samples(), [0, 0, 0, 64, 64, 64, 128, 128, 128, 255, 255, 255]);
}

#[test]
fn the_camera_orientation_is_honoured() {
    let upright = Picture::decode(&jpeg_with_orientation(1)).unwrap();
    assert_eq!((upright.width(), upright.height()), (24, 16));
    // 6: the camera was turned; rotate by 90 degrees clockwise. The white top row becomes the right column.
    let turned = Picture::decode(&jpeg_with_orientation(6)).unwrap();
    assert_eq!((turned.width(), turned.height()), (16, 24));
    let quarter = Picture::decode(&jpeg()).unwrap().quarter_turn();
    assert_eq!(turned.samples(), quarter.samples());
}

#[test]
fn cut_off_files_are_named() {
    let (jpeg, png) = (jpeg(), png());
    for keep in [jpeg.len() - 2, jpeg.len() - 40, jpeg.len() / 2, 4] {
        assert_eq!(error(&jpeg[..keep]), Error::TruncatedImage, "{keep} of {}", jpeg.len());
    }
    for keep in [png.len() - 30, png.len() / 2, 20] {
        assert_eq!(error(&png[..keep]), Error::TruncatedImage, "{keep} of {}", png.len());
    }
    assert_eq!(error(b"P5\n2 2\n255\n\x00\x40"), Error::TruncatedImage);
    // Whatever a camera appends after the picture does no harm.
    assert!(Picture::decode(&[&jpeg[..], b"trailer"].concat()).is_ok());
}

#[test]
fn other_files_are_no_pictures() {
    for bytes in [&b""[..], b"hello", b"GIF89a\0\0\0\0", b"%PDF-1.7", b"\x93NUMPY"] {
        assert_eq!(error(bytes), Error::NotAnImage);
    }
    let mut damaged = png();
    let middle = damaged.len() / 2;
    damaged[middle..].iter_mut().for_each(|b| *b ^= 0x55);
    assert_eq!(error(&damaged), Error::BrokenImage);
}

#[test]
fn decompression_bombs_are_refused_by_their_dimensions() {
    let mut bomb = png();
    // The header chunk: width and height at 16..24, its checksum at 29..33.
    bomb[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    let checksum = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&checksum.to_be_bytes());
    assert!(matches!(error(&bomb), Error::ImageTooLarge { .. }), "{:?}", error(&bomb));
    bomb[16..20].copy_from_slice(&16_000u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&16_000u32.to_be_bytes());
    let checksum = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&checksum.to_be_bytes());
    assert!(matches!(error(&bomb), Error::ImageTooLarge { got: 256_000_000, .. }), "{:?}", error(&bomb));
    let huge = b"P5\n4000000000 4000000000\n255\n";
    assert!(matches!(error(huge), Error::ImageTooLarge { .. } | Error::BrokenImage), "{:?}", error(huge));
    let long = vec![0xff; limits::PICTURE_BYTES + 1];
    assert!(matches!(error(&long), Error::ImageTooLarge { unit: "bytes", .. }));
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0u32, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

#[test]
fn cutting_keeps_what_is_there_and_extends_the_edges() {
    let picture = Picture::new(2, 2, [[10; 3], [20; 3], [30; 3], [40; 3]].concat()).unwrap();
    let whole = Rectangle { left: 0.0, top: 0.0, width: 2.0, height: 2.0 };
    assert_eq!(picture.cut(whole, 2, 2).samples(), picture.samples());
    let wider = Rectangle { left: -1.0, top: -1.0, width: 4.0, height: 4.0 };
    let grey: Vec<u8> = picture.cut(wider, 4, 4).samples().chunks(3).map(|p| p[0]).collect();
    assert_eq!(grey, [10, 10, 20, 20, 10, 10, 20, 20, 30, 30, 40, 40, 30, 30, 40, 40]);
}

#[test]
fn reduction_averages() {
    let picture = Picture::new(4, 2, [[10; 3], [20; 3], [0; 3], [0; 3], [30; 3], [40; 3], [0; 3], [8; 3]].concat()).unwrap();
    let (half, factor) = picture.reduced_for(2.5);
    assert_eq!((factor, half.samples()), (2.0, &[25, 25, 25, 2, 2, 2][..]));
    assert_eq!(picture.reduced_for(1.9).1, 1.0);
}

#[test]
fn four_quarter_turns_are_none() {
    let picture = Picture::decode(&png()).unwrap();
    let turned = picture.quarter_turn();
    assert_eq!((turned.width(), turned.height()), (16, 24));
    let back = turned.quarter_turn().quarter_turn().quarter_turn();
    assert_eq!(back.samples(), picture.samples());
}
