//! A QR code of half blocks: two rows of modules in one line of text.

use fast_qr::{ECL, QRBuilder};

/// Modules of light around the code. The standard wants four; cameras are content with two, and 80 columns hold no more.
const MARGIN: usize = 2;

/// The code of `text`, light modules drawn: right on a dark terminal, and with `colours` on any. `None` where the text
/// is too long for one.
pub(super) fn qr(text: &str, colours: bool) -> Option<Vec<String>> {
    let code = QRBuilder::new(text).ecl(ECL::L).build().ok()?;
    let is_light = |x: usize, y: usize| {
        let inside = |at: usize| at.checked_sub(MARGIN).filter(|at| *at < code.size);
        match (inside(x), inside(y)) {
            (Some(x), Some(y)) => code[y].get(x).is_none_or(|module| !module.value()),
            _ => true,
        }
    };
    let side = code.size + 2 * MARGIN;
    let line = |y: usize| {
        let blocks: String = (0..side)
            .map(|x| match (is_light(x, y), y + 1 < side && is_light(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            })
            .collect();
        // White on black of the fixed part of the palette, whatever the theme.
        if colours { format!("\u{1b}[38;5;231;48;5;16m{blocks}\u{1b}[0m") } else { blocks }
    };
    Some((0..side).step_by(2).map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E8: the address of a ChatGPT login fits on 80 columns, and the finder patterns are where cameras look for them.
    #[test]
    fn e8_a_code_that_fits() {
        let url = format!("https://auth.openai.com/oauth/authorize?{}", "x".repeat(390));
        let lines = qr(&url, false).unwrap();
        let width = lines[0].chars().count();
        assert!(width <= 80 && lines.iter().all(|line| line.chars().count() == width), "{width}");
        assert_eq!(lines.len(), width.div_ceil(2));
        assert!(lines[0].chars().all(|c| c == '█'), "the margin");
        assert!(lines[1].starts_with("██ ▄▄▄▄▄ ") && lines[1].ends_with(" ▄▄▄▄▄ ██"), "{}", lines[1]);
        assert!(qr(&url, true).unwrap()[0].ends_with("\u{1b}[0m"));
        assert!(qr(&"x".repeat(8_000), false).is_none());
    }
}
