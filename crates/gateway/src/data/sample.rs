//! Which calls are taken. Pure: the request id decides, and nothing is remembered.

/// Whether a call is one of so many in a hundred. The same id is always taken or never, by every replica, so that a call
/// that is sent again is taken again; and those of a smaller share are among those of a larger one. Who chooses the id
/// chooses this too.
///
/// It is FNV-1a (64 bits) of the id, mixed by the finalizer of MurmurHash3, modulo 100, compared with the share.
#[must_use]
pub fn is_sampled(request_id: &str, percent: u32) -> bool {
    let id = request_id.bytes();
    let hash = id.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mixed(hash) % 100 < u64::from(percent)
}

/// FNV's last bytes reach few bits, and ids mostly differ in their last bytes.
fn mixed(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn all_are_taken_of_a_hundred_in_a_hundred_and_none_of_none() {
        for n in 0..1000 {
            let id = format!("r-{n}");
            assert!(is_sampled(&id, 100) && !is_sampled(&id, 0));
        }
    }

    #[test]
    fn the_share_is_what_was_asked_for_whatever_ids_look_like() {
        let counted: [fn(u32) -> String; 3] = [
            |n| n.to_string(),
            |n| format!("client-{n:08}"),
            |_| Uuid::now_v7().to_string(),
        ];
        for id in counted {
            for percent in [1, 10, 50, 99] {
                let taken = (0..20_000).filter(|n| is_sampled(&id(*n), percent)).count();
                let expected = 200.0 * f64::from(percent);
                // Five standard deviations.
                let far = 5.0 * (expected * (1.0 - f64::from(percent) / 100.0)).sqrt();
                let off = (taken as f64 - expected).abs();
                assert!(off < far, "{taken} of 20,000 at {percent} %");
            }
        }
    }

    #[test]
    fn a_smaller_share_is_among_the_larger_and_the_choice_never_changes() {
        for n in 0..1000 {
            let id = format!("r-{n}");
            assert!(!is_sampled(&id, 10) || is_sampled(&id, 20));
        }
        // Others may rely on it: so it is, on every machine and in every version.
        let taken: Vec<_> = (0..60)
            .filter(|n| is_sampled(&format!("r-{n}"), 10))
            .collect();
        assert_eq!(taken, [8, 37]);
    }
}
