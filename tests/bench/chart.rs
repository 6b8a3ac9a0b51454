//! The chart for `tests/RESULTS.md`: what each load balancer does of what the C pen
//! does, as bars. Drawn for light and for dark pages.

use crate::peers::Who;
use crate::rows::{Row, Sense};
use crate::table::{Figures, grouped};
use std::fmt::Write as _;

/// The works that are shown: what, in which unit, and which way is better.
/// Where less is better the bars show the other's figure over one's own, so
/// that the longer one is always the better one.
const SHOWN: [(Row, &str, &str, Sense); 14] = [
    (Row::ShortRate(1), "short connections, 1 at a time", "/s", MORE),
    (Row::ShortRate(50), "short connections, 50 at a time", "/s", MORE),
    (Row::ShortRate(500), "short connections, 500 at a time", "/s", MORE),
    (Row::KeepRate(1), "requests on 1 connection", "/s", MORE),
    (Row::KeepRate(100), "requests on 100 connections", "/s", MORE),
    (Row::KeepRate(1000), "requests on 1,000 connections", "/s", MORE),
    (Row::DownRate(1), "bulk down, 1 stream", " GB/s", MORE),
    (Row::DownRate(8), "bulk down, 8 streams", " GB/s", MORE),
    (Row::UpRate(1), "bulk up, 1 stream", " GB/s", MORE),
    (Row::UpRate(8), "bulk up, 8 streams", " GB/s", MORE),
    (Row::DelayMedian, "small request beside bulk", " ms", LESS),
    (Row::DownServerRate, "1 of 3 servers down", "/s", MORE),
    (Row::Strangers, "200,000 clients seen", "/s", MORE),
    (Row::UdpRate(100), "UDP, 100 clients", "/s", MORE),
];

const MORE: Sense = Sense::AtLeast;
const LESS: Sense = Sense::AtMost;

/// Whose bars there are; the C pen is the line at 1.
const BARS: [(Who, &str); 4] =
    [(Who::Ours, "ours"), (Who::HaProxy, "haproxy"), (Who::Nginx, "nginx"), (Who::Socat, "socat")];

/// Where the scale ends. A longer bar is cut off there, and says so.
const END: f64 = 3.0;

const WIDTH: usize = 760;
/// Where the bars begin, and how long 1 is.
const LEFT: f64 = 270.0;
const ONE: f64 = 140.0;
const TOP: usize = 58;
const BAR: usize = 9;
const GAP: usize = 14;

/// Colours: blue for ours, the others in greys that both pages show.
const STYLE: &str = "\
    text { font: 12px -apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif; \
    fill: #1f2328 }\n\
    .small { font-size: 10px; fill: #656d76 }\n\
    .end { text-anchor: end }\n\
    .middle { text-anchor: middle }\n\
    .line { stroke: #d0d7de }\n\
    .one { stroke: #656d76; stroke-width: 1.5 }\n\
    .ours { fill: #2f74c0 }\n\
    .haproxy { fill: #6e7781 }\n\
    .nginx { fill: #9da5ae }\n\
    .socat { fill: #c8ced5 }\n\
    @media (prefers-color-scheme: dark) {\n\
    text { fill: #e6edf3 }\n\
    .small { fill: #9198a1 }\n\
    .line { stroke: #30363d }\n\
    .one { stroke: #9198a1 }\n\
    .ours { fill: #4c97e8 }\n\
    .haproxy { fill: #9198a1 }\n\
    .nginx { fill: #6b737c }\n\
    .socat { fill: #484f58 }\n\
    }\n";

/// Draws it, if the C pen was there to compare with. `about` is what all
/// figures have in common.
pub(crate) fn draw(figures: &Figures, about: &str) -> Option<String> {
    let mut body = String::new();
    let mut y = TOP;
    for (row, label, unit, sense) in SHOWN {
        let bars = bars(figures, row, sense);
        let Some(c_pen) = figures.get(row, Who::CPen).filter(|_| !bars.is_empty()) else {
            continue;
        };
        let middle = y + bars.len() * BAR / 2;
        let x = LEFT - 10.0;
        let figure = grouped(c_pen, row.digits());
        let _ = writeln!(
            body,
            "<text class=\"end\" x=\"{x}\" y=\"{}\">{label}</text>\n\
             <text class=\"small end\" x=\"{x}\" y=\"{}\">C pen: {figure}{unit}</text>",
            middle - 1,
            middle + 11
        );
        for (class, ratio) in bars {
            body += &bar(y, class, ratio);
            y += BAR;
        }
        y += GAP;
    }
    if body.is_empty() {
        return None;
    }
    let height = y + 14;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <title>pen and others beside the C pen</title>\n<style>\n{STYLE}</style>\n"
    );
    text += &legend();
    text += &scale(y);
    text += &body;
    let _ = writeln!(
        text,
        "<text class=\"small end\" x=\"{}\" y=\"{}\">{about}</text>\n</svg>",
        WIDTH - 10,
        height - 4
    );
    Some(text)
}

/// The bars of one work: times as good as the C pen.
fn bars(figures: &Figures, row: Row, sense: Sense) -> Vec<(&'static str, f64)> {
    let ratio = |who| {
        let (own, other) = (figures.get(row, who)?, figures.get(row, Who::CPen)?);
        let ratio = match sense {
            Sense::AtLeast => own / other,
            Sense::AtMost => other / own,
        };
        ratio.is_finite().then_some(ratio)
    };
    let all = BARS.into_iter();
    all.filter_map(|(who, class)| Some((class, ratio(who)?))).collect()
}

fn bar(y: usize, class: &str, ratio: f64) -> String {
    let (length, cut) = (ratio.min(END) * ONE, ratio > END);
    let number = match ratio {
        10.0.. => grouped(ratio, 0),
        _ => format!("{ratio:.2}"),
    };
    let sign = if cut { "\u{25b8} " } else { "" };
    format!(
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{}\"/>\n\
         <text class=\"small\" x=\"{:.1}\" y=\"{}\">{sign}{number}</text>\n",
        BAR - 1,
        LEFT + length + 4.0,
        y + BAR - 1
    )
}

fn legend() -> String {
    let mut text = String::from("<text x=\"10\" y=\"20\">times as good as the C pen</text>\n");
    let mut x = LEFT;
    for (who, class) in BARS {
        let name = who.name();
        let _ = writeln!(
            text,
            "<rect class=\"{class}\" x=\"{x}\" y=\"11\" width=\"10\" height=\"10\"/>\n\
             <text x=\"{}\" y=\"20\">{name}</text>",
            x + 15.0
        );
        x += 90.0;
    }
    text
}

/// The lines at 0, 1, 2, 3, down to `end`.
fn scale(end: usize) -> String {
    let mut text = String::new();
    for times in 0..=END as u32 {
        let x = LEFT + f64::from(times) * ONE;
        let class = if times == 1 { "one" } else { "line" };
        let name = match times {
            1 => "C pen".to_owned(),
            n => n.to_string(),
        };
        let _ = writeln!(
            text,
            "<line class=\"{class}\" x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{}\"/>\n\
             <text class=\"small middle\" x=\"{x}\" y=\"{}\">{name}</text>",
            TOP - 8,
            end - GAP + 6,
            TOP - 13
        );
    }
    text
}
