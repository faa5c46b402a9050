//! Structures as the kernel lays them out for x86-64.

use rustix::fs::{Stat, Statx, StatxTimestamp};

/// Words side by side.
pub fn words<const N: usize>(words: [u64; N]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// `struct stat`.
pub fn stat(s: &Stat) -> Vec<u8> {
    let owner = u64::from(s.st_mode) | u64::from(s.st_uid) << 32;
    words([
        s.st_dev,
        s.st_ino,
        s.st_nlink,
        owner,
        s.st_gid.into(),
        s.st_rdev,
        s.st_size as u64,
        s.st_blksize as u64,
        s.st_blocks as u64,
        s.st_atime as u64,
        s.st_atime_nsec,
        s.st_mtime as u64,
        s.st_mtime_nsec,
        s.st_ctime as u64,
        s.st_ctime_nsec,
        0,
        0,
        0,
    ])
}

/// `struct statx`.
pub fn statx(s: &Statx) -> Vec<u8> {
    let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let time = |t: &StatxTimestamp| [t.tv_sec as u64, u64::from(t.tv_nsec)];
    let [access, birth, change, modify] = [&s.stx_atime, &s.stx_btime, &s.stx_ctime, &s.stx_mtime].map(time);
    let mut bytes = words([
        pair(s.stx_mask, s.stx_blksize),
        s.stx_attributes.bits(),
        pair(s.stx_nlink, s.stx_uid),
        pair(s.stx_gid, s.stx_mode.into()),
        s.stx_ino,
        s.stx_size,
        s.stx_blocks,
        s.stx_attributes_mask.bits(),
    ]);
    bytes.extend(words([access, birth, change, modify].concat().try_into().unwrap_or([0; 8])));
    bytes.extend(words([
        pair(s.stx_rdev_major, s.stx_rdev_minor),
        pair(s.stx_dev_major, s.stx_dev_minor),
        s.stx_mnt_id,
    ]));
    bytes.resize(256, 0);
    bytes
}
