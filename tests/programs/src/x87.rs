//! Work in x87 code: a picture of the Mandelbrot set by a loop that keeps its values on the register stack, systems of linear
//! equations in extended precision, and the transcendental functions.

use std::arch::asm;

/// A number of 80 bits, in the first ten bytes.
#[derive(Clone, Copy)]
#[repr(align(16))]
pub struct Extended([u8; 16]);

/// Runs x87 code that leaves the register stack as empty as it was.
macro_rules! x87 {
    ($($text:literal),+; $($name:ident = $value:expr),*) => {
        // SAFETY: the code reads and writes the memory of its operands alone, and leaves the stack empty.
        unsafe {
            asm!($($text),+, $($name = in(reg) $value,)* out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _, options(nostack))
        }
    };
}

macro_rules! binary {
    ($name:ident, $text:literal) => {
        fn $name(self, other: Extended) -> Extended {
            let mut result = Extended([0; 16]);
            x87!("fld tbyte ptr [{a}]", "fld tbyte ptr [{b}]", $text, "fstp tbyte ptr [{r}]";
                a = &raw const self, b = &raw const other, r = &raw mut result);
            result
        }
    };
}

macro_rules! unary {
    ($name:ident, $($text:literal),+) => {
        fn $name(self) -> Extended {
            let mut result = Extended([0; 16]);
            x87!("fld tbyte ptr [{a}]", $($text),+, "fstp tbyte ptr [{r}]"; a = &raw const self, r = &raw mut result);
            result
        }
    };
}

impl Extended {
    fn of(value: i64) -> Extended {
        let mut result = Extended([0; 16]);
        x87!("fild qword ptr [{v}]", "fstp tbyte ptr [{r}]"; v = &raw const value, r = &raw mut result);
        result
    }

    binary!(minus, "fsubp st(1), st");
    binary!(times, "fmulp st(1), st");
    binary!(over, "fdivp st(1), st");
    binary!(angle, "fpatan");
    binary!(logarithm, "fyl2x");
    unary!(root, "fabs", "fsqrt");
    unary!(sine, "fsin");
    unary!(cosine, "fcos");
    unary!(tangent, "fptan", "fstp st(0)");
    // 2 to a power: its whole part by FSCALE, the rest by F2XM1.
    unary!(
        power,
        "fld st(0)",
        "frndint",
        "fsub st(1), st",
        "fxch",
        "f2xm1",
        "fld1",
        "faddp st(1), st",
        "fscale",
        "fstp st(1)"
    );

    /// Is its absolute value greater?
    fn exceeds(self, other: Extended) -> bool {
        let greater: u8;
        // SAFETY: as in `x87`.
        unsafe {
            asm!("fld tbyte ptr [{b}]", "fabs", "fld tbyte ptr [{a}]", "fabs", "fcomip st, st(1)", "fstp st(0)", "seta {g}",
                a = in(reg) &raw const self, b = in(reg) &raw const other, g = out(reg_byte) greater, out("st(0)") _,
                out("st(1)") _, out("st(2)") _, out("st(3)") _, out("st(4)") _, out("st(5)") _, out("st(6)") _,
                out("st(7)") _, options(nostack));
        }
        greater != 0
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0[..10]
    }
}

/// Steps until a point leaves the circle of radius 2, `limit` at most.
fn escape(x: f64, y: f64, limit: u32) -> u32 {
    let four = 4.0_f32;
    let mut left = limit;
    // SAFETY: as in `x87`; at either end of the loop four values are left, which are dropped.
    unsafe {
        asm!(
            "fld qword ptr [{y}]", "fld qword ptr [{x}]", "fldz", "fldz",
            "2:",
            "fld st(0)", "fmul st, st(0)", "fld st(2)", "fmul st, st(0)",
            "fld st(0)", "fadd st, st(2)", "fld dword ptr [{four}]", "fcomip st, st(1)", "fstp st(0)", "jb 3f",
            "fsubp st(1), st", "fadd st, st(3)", "fxch st(1)", "fmulp st(2), st", "fxch st(1)",
            "fadd st, st(0)", "fadd st, st(3)", "fxch st(1)",
            "dec {left:e}", "jnz 2b", "jmp 4f",
            "3:", "fstp st(0)", "fstp st(0)",
            "4:", "fstp st(0)", "fstp st(0)", "fstp st(0)", "fstp st(0)",
            x = in(reg) &raw const x, y = in(reg) &raw const y, four = in(reg) &raw const four, left = inout(reg) left,
            out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _, out("st(4)") _, out("st(5)") _,
            out("st(6)") _, out("st(7)") _, options(nostack),
        );
    }
    limit - left
}

/// The picture, a byte a point.
pub fn mandelbrot(width: u32, height: u32) -> Vec<u8> {
    let point = |i: u32| {
        let (x, y) = (f64::from(i % width), f64::from(i / width));
        escape(x / f64::from(width) * 3.0 - 2.2, y / f64::from(height) * 2.4 - 1.2, 200) as u8
    };
    (0..width * height).map(point).collect()
}

/// Solves a Hilbert matrix of `n` lines, of which the solution is all ones but for rounding, by elimination with pivots.
pub fn solve(n: usize) -> Vec<Extended> {
    let one = Extended::of(1);
    let zero = Extended::of(0);
    let mut lines: Vec<Vec<Extended>> = (0..n)
        .map(|i| {
            let mut line: Vec<_> = (0..n).map(|j| one.over(Extended::of((i + j + 1) as i64))).collect();
            // The right side: minus of a negative is a sum.
            let sum = line.iter().fold(zero, |sum, value| sum.minus(zero.minus(*value)));
            line.push(sum);
            line
        })
        .collect();
    for column in 0..n {
        let mut best = column;
        for row in column + 1..n {
            if lines[row][column].exceeds(lines[best][column]) {
                best = row;
            }
        }
        lines.swap(column, best);
        for row in column + 1..n {
            let (above, below) = lines.split_at_mut(row);
            let (pivot, line) = (&above[column], &mut below[0]);
            let factor = line[column].over(pivot[column]);
            for (value, other) in line.iter_mut().zip(pivot).skip(column) {
                *value = value.minus(factor.times(*other));
            }
        }
    }
    let mut solution = vec![zero; n];
    for row in (0..n).rev() {
        let known = (row + 1..n).fold(lines[row][n], |rest, i| rest.minus(lines[row][i].times(solution[i])));
        solution[row] = known.over(lines[row][row]);
    }
    solution
}

/// Each transcendental function of `count` numbers around 0.
pub fn functions(count: i64) -> Vec<Extended> {
    let mut out = Vec::new();
    for i in 0..count {
        let x = Extended::of(i - count / 2).over(Extended::of(97));
        let y = Extended::of(i + 1).over(Extended::of(31));
        out.extend([x.sine(), x.cosine(), x.tangent(), x.root(), x.power(), x.angle(y), x.logarithm(y)]);
    }
    out
}
