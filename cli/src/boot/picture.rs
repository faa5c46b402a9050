//! The framebuffer as a PNG file.

use super::devices::Framebuffer;
use encore86_asm::gallery::{HEIGHT, WIDTH};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes what the framebuffer shows: 8 bits each of red, green and blue.
///
/// # Errors
/// What the file system says.
pub fn write(framebuffer: &Framebuffer, path: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut encoder = png::Encoder::new(&mut file, WIDTH as u32, HEIGHT as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let rgb: Vec<u8> = framebuffer
        .rows()
        .flatten()
        .flat_map(|pixel| {
            let [_, r, g, b] = pixel.to_be_bytes();
            [r, g, b]
        })
        .collect();
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&rgb)?;
    writer.finish()?;
    file.flush()
}
