//! Times as HTTP and RFC 3339 write them.

use coderclaw_types::Millis;

struct Civil {
    year: i64,
    month: usize,
    day: i64,
    weekday: usize,
    time: String,
}

/// Days to a date in the proleptic Gregorian calendar, counted in eras of 400 years that begin on 1 March.
fn civil(at: Millis) -> Civil {
    let secs = at.0.div_euclid(1000);
    let (days, secs) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    Civil {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month: usize::try_from(month).unwrap_or(1),
        day: day_of_year - (153 * march_month + 2) / 5 + 1,
        weekday: usize::try_from((days + 4).rem_euclid(7)).unwrap_or(0),
        time: format!("{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60),
    }
}

/// As in the headers `Date` and `Retry-After` (RFC 9110 section 5.6.7, IMF-fixdate).
pub(crate) fn http_date(at: Millis) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let c = civil(at);
    format!(
        "{}, {:02} {} {:04} {} GMT",
        DAYS[c.weekday % 7],
        c.day,
        MONTHS[(c.month + 11) % 12],
        c.year,
        c.time
    )
}

/// As RFC 3339 has it, in UTC, to the second.
pub(crate) fn rfc3339(at: Millis) -> String {
    let c = civil(at);
    format!("{:04}-{:02}-{:02}T{}Z", c.year, c.month, c.day, c.time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        for (secs, http, rfc) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00Z"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT", "2000-02-29T00:00:00Z"),
            (1_798_761_599, "Thu, 31 Dec 2026 23:59:59 GMT", "2026-12-31T23:59:59Z"),
            (-1, "Wed, 31 Dec 1969 23:59:59 GMT", "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(http_date(Millis::from_secs(secs)), http);
            assert_eq!(rfc3339(Millis::from_secs(secs)), rfc);
        }
    }
}
