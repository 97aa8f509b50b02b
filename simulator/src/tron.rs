//! TRON addresses: Base58Check over a prefix byte and twenty bytes of account.
//!
//! A client may well check the checksum of what it is given, so invented addresses are valid ones. They belong to
//! nobody: the account bytes are random, not derived from a key.

use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const MAINNET: u8 = 0x41;

/// The address of an account, always 34 characters beginning with `T`.
pub(crate) fn address(account: [u8; 20]) -> String {
    let mut bytes = Vec::with_capacity(25);
    bytes.push(MAINNET);
    bytes.extend_from_slice(&account);
    let checksum = Sha256::digest(Sha256::digest(&bytes));
    bytes.extend(checksum.iter().take(4));
    base58(&bytes)
}

/// Base58 in the Bitcoin alphabet: leading zero bytes become leading ones.
fn base58(bytes: &[u8]) -> String {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let mut digits: Vec<u8> = Vec::with_capacity(bytes.len() * 138 / 100 + 1); // least significant first
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    let leading = std::iter::repeat_n('1', zeros);
    let letters = digits.iter().rev().filter_map(|digit| ALPHABET.get(usize::from(*digit)));
    leading.chain(letters.map(|letter| char::from(*letter))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base58_agrees_with_the_published_vectors() {
        assert_eq!(base58(b""), "");
        assert_eq!(base58(b"Hello World!"), "2NEpo7TZRRrLZSi2U");
        assert_eq!(
            base58(b"The quick brown fox jumps over the lazy dog."),
            "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z"
        );
        assert_eq!(base58(&[0, 0, 0x28, 0x7f, 0xb4, 0xcd]), "11233QC4");
    }

    #[test]
    fn the_usdt_contract_has_its_well_known_address() {
        let account = data_encoding::HEXLOWER.decode(b"a614f803b6fd780986a42c78ec9c7f77e6ded13c").unwrap();
        assert_eq!(address(account.try_into().unwrap()), "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t");
    }

    #[test]
    fn the_extreme_accounts_still_make_a_t_and_34_characters() {
        for account in [[0; 20], [0xff; 20]] {
            let address = address(account);
            assert_eq!(address.len(), 34);
            assert!(address.starts_with('T'));
        }
    }
}
