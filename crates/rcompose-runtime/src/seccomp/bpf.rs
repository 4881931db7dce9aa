//! Classic BPF for seccomp(2): instructions, and a binary search over syscall numbers.

/// One classic BPF instruction, laid out as the kernel's `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Insn {
    pub(crate) code: u16,
    pub(crate) jt: u8,
    pub(crate) jf: u8,
    pub(crate) k: u32,
}

const LD_W_ABS: u16 = 0x20;
const AND_K: u16 = 0x54;
const JA: u16 = 0x05;
const JEQ_K: u16 = 0x15;
const JGT_K: u16 = 0x25;
const JGE_K: u16 = 0x35;
const RET_K: u16 = 0x06;

/// Offset of `nr` in `struct seccomp_data`.
const OFFSET_NR: u32 = 0;
/// Offset of `arch` in `struct seccomp_data`.
const OFFSET_ARCH: u32 = 4;
/// Offset of `args[0]` in `struct seccomp_data`.
const OFFSET_ARGS: u32 = 16;

/// How one 64-bit argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// `arg & mask == value`, the mask being held here.
    Masked(u64),
}

/// A condition on one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) index: u8,
    pub(super) compare: Compare,
    pub(super) value: u64,
}

/// What happens with one syscall number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Always this `SECCOMP_RET_*` value.
    Always(u32),
    /// The first alternative all of whose conditions hold; else the last value.
    Conditional(Vec<(Vec<Condition>, u32)>, u32),
}

/// The rules for one architecture: `default` for whatever number isn't listed. `rules` is ordered by number.
pub(super) struct ArchRules {
    pub(super) audit_arch: u32,
    pub(super) rules: Vec<(u32, Verdict)>,
}

fn insn(code: u16, jt: u8, jf: u8, k: u32) -> Insn {
    Insn { code, jt, jf, k }
}

fn ret(k: u32) -> Insn {
    insn(RET_K, 0, 0, k)
}

/// Builds the whole filter. Programs of an architecture that isn't listed get `foreign`.
pub(super) fn emit(arches: &[ArchRules], default: u32, foreign: u32) -> Vec<Insn> {
    let mut code = vec![insn(LD_W_ABS, 0, 0, OFFSET_ARCH)];
    for arch in arches {
        let mut body = vec![insn(LD_W_ABS, 0, 0, OFFSET_NR)];
        body.extend(search(&ranges(&arch.rules, default)));
        // Not this architecture: over the jump and the body, which may be longer than a conditional jump reaches.
        code.push(insn(JEQ_K, 1, 0, arch.audit_arch));
        code.push(insn(JA, 0, 0, body.len() as u32));
        code.extend(body);
    }
    code.push(ret(foreign));
    code
}

/// Starts of ranges with one verdict each, covering every number from 0 on; equal neighbours are merged.
fn ranges(rules: &[(u32, Verdict)], default: u32) -> Vec<(u32, Verdict)> {
    let mut out: Vec<(u32, Verdict)> = Vec::new();
    let mut push = |start: u32, verdict: Verdict| {
        let same =
            matches!((out.last(), &verdict), (Some((_, Verdict::Always(a))), Verdict::Always(b)) if a == b);
        if !same {
            out.push((start, verdict));
        }
    };
    let mut next = 0;
    for (number, verdict) in rules {
        if *number > next {
            push(next, Verdict::Always(default));
        }
        push(*number, verdict.clone());
        next = number + 1;
    }
    push(next, Verdict::Always(default));
    out
}

fn search(ranges: &[(u32, Verdict)]) -> Vec<Insn> {
    match ranges {
        [] => Vec::new(),
        [(_, verdict)] => leaf(verdict),
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            let (below, above) = (search(low), search(high));
            let pivot = high[0].0;
            let mut code = match u8::try_from(below.len()) {
                Ok(distance) => vec![insn(JGE_K, distance, 0, pivot)],
                Err(_) => vec![insn(JGE_K, 0, 1, pivot), insn(JA, 0, 0, below.len() as u32)],
            };
            code.extend(below);
            code.extend(above);
            code
        }
    }
}

fn leaf(verdict: &Verdict) -> Vec<Insn> {
    match verdict {
        Verdict::Always(action) => vec![ret(*action)],
        Verdict::Conditional(alternatives, otherwise) => {
            let mut code = Vec::new();
            for (conditions, action) in alternatives {
                // Built from the back, so that each condition knows how far "no" has to jump.
                let mut block = vec![ret(*action)];
                for condition in conditions.iter().rev() {
                    let mut head = check(condition, block.len());
                    head.extend(block);
                    block = head;
                }
                code.extend(block);
            }
            code.push(ret(*otherwise));
            code
        }
    }
}

/// Falls through when the condition holds, else jumps over the `rest` instructions that follow.
fn check(condition: &Condition, rest: usize) -> Vec<Insn> {
    let low = OFFSET_ARGS + 8 * u32::from(condition.index);
    let high = low + 4;
    let (value_high, value_low) = ((condition.value >> 32) as u32, condition.value as u32);
    // Distances are below 256: a syscall takes six arguments and a check has at most seven instructions.
    let no = rest as u8;
    match condition.compare {
        Compare::Equal => vec![
            insn(LD_W_ABS, 0, 0, high),
            insn(JEQ_K, 0, no + 2, value_high),
            insn(LD_W_ABS, 0, 0, low),
            insn(JEQ_K, 0, no, value_low),
        ],
        Compare::NotEqual => vec![
            insn(LD_W_ABS, 0, 0, high),
            insn(JEQ_K, 0, 2, value_high),
            insn(LD_W_ABS, 0, 0, low),
            insn(JEQ_K, no, 0, value_low),
        ],
        Compare::Masked(mask) => vec![
            insn(LD_W_ABS, 0, 0, high),
            insn(AND_K, 0, 0, (mask >> 32) as u32),
            insn(JEQ_K, 0, no + 3, value_high),
            insn(LD_W_ABS, 0, 0, low),
            insn(AND_K, 0, 0, mask as u32),
            insn(JEQ_K, 0, no, value_low),
        ],
        Compare::Greater => ordered(JGT_K, (low, high), (value_low, value_high), no, true),
        Compare::GreaterOrEqual => ordered(JGE_K, (low, high), (value_low, value_high), no, true),
        Compare::Less => ordered(JGE_K, (low, high), (value_low, value_high), no, false),
        Compare::LessOrEqual => ordered(JGT_K, (low, high), (value_low, value_high), no, false),
    }
}

/// 64-bit ordering: by the high words, and by `low_jump` on the low words when those are equal.
/// `wanted`: whether "greater" means that the condition holds.
fn ordered(
    low_jump: u16,
    (low, high): (u32, u32),
    (value_low, value_high): (u32, u32),
    no: u8,
    wanted: bool,
) -> Vec<Insn> {
    let (greater, smaller) = if wanted { (3, no + 2) } else { (no + 3, 2) };
    let (yes_low, no_low) = if wanted { (0, no) } else { (no, 0) };
    vec![
        insn(LD_W_ABS, 0, 0, high),
        insn(JGT_K, greater, 0, value_high),
        insn(JEQ_K, 0, smaller, value_high),
        insn(LD_W_ABS, 0, 0, low),
        insn(low_jump, yes_low, no_low, value_low),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Interprets a filter the way the kernel does.
    fn run(code: &[Insn], arch: u32, nr: u32, args: [u64; 6]) -> u32 {
        let (mut pc, mut a) = (0usize, 0u32);
        loop {
            let i = code[pc];
            pc += 1;
            match i.code {
                LD_W_ABS => {
                    a = match i.k {
                        0 => nr,
                        4 => arch,
                        k => {
                            let arg = args[((k - 16) / 8) as usize];
                            if k % 8 == 0 { arg as u32 } else { (arg >> 32) as u32 }
                        }
                    }
                }
                AND_K => a &= i.k,
                JA => pc += i.k as usize,
                JEQ_K => pc += usize::from(if a == i.k { i.jt } else { i.jf }),
                JGT_K => pc += usize::from(if a > i.k { i.jt } else { i.jf }),
                JGE_K => pc += usize::from(if a >= i.k { i.jt } else { i.jf }),
                RET_K => return i.k,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn every_number_finds_its_verdict() {
        let rules: Vec<_> = (0..900).filter(|n| n % 3 != 0).map(|n| (n, Verdict::Always(1000 + n))).collect();
        let code = emit(&[ArchRules { audit_arch: 7, rules }], 5, 6);
        for n in 0..1000 {
            let want = if n < 900 && n % 3 != 0 { 1000 + n } else { 5 };
            assert_eq!(run(&code, 7, n, [0; 6]), want, "number {n}");
        }
        assert_eq!(run(&code, 8, 1, [0; 6]), 6);
    }

    #[test]
    fn comparisons_are_64_bit() {
        let values = [0, 1, 5, 6, 7, 1 << 32, (1 << 32) + 5, (5 << 32) + 6, u64::MAX];
        type Truth = fn(u64, u64) -> bool;
        let cases: [(Compare, Truth); 7] = [
            (Compare::Equal, |a, b| a == b),
            (Compare::NotEqual, |a, b| a != b),
            (Compare::Less, |a, b| a < b),
            (Compare::LessOrEqual, |a, b| a <= b),
            (Compare::Greater, |a, b| a > b),
            (Compare::GreaterOrEqual, |a, b| a >= b),
            (Compare::Masked(0x5_0000_0005), |a, b| a & 0x5_0000_0005 == b),
        ];
        for (compare, truth) in cases {
            for value in values {
                let condition = Condition { index: 2, compare, value };
                let second = Condition { index: 0, compare: Compare::Equal, value: 9 };
                let verdict = Verdict::Conditional(vec![(vec![condition, second], 1)], 0);
                let code = emit(&[ArchRules { audit_arch: 7, rules: vec![(3, verdict)] }], 0, 0);
                for arg in values {
                    assert_eq!(
                        run(&code, 7, 3, [9, 0, arg, 0, 0, 0]) == 1,
                        truth(arg, value),
                        "{compare:?} {arg:#x} {value:#x}"
                    );
                    assert_eq!(run(&code, 7, 3, [8, 0, arg, 0, 0, 0]), 0);
                }
            }
        }
    }
}
