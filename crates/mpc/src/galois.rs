//! The Galois ring R = Z_{2^16}[w]/(w^2 + w + 1) and the stored form of shares: degree-1 Shamir at the points 1, w, 1 + w
//! (PROTOCOL section 1).
//!
//! R is the smallest extension of Z_{2^16} with four points whose differences are units {0, 1, w, 1 + w}, which is what
//! Shamir sharing among three nodes needs. Two coordinates are packed into one element, so a share is as long as the vector.
//! Out of scope: where the values come from (`record`).

use types::NodeId;

/// a + b w.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) a: u16,
    pub(crate) b: u16,
}

impl Element {
    const ONE: Self = Self::new(1, 0);

    pub(crate) const fn new(a: u16, b: u16) -> Self {
        Self { a, b }
    }
    pub(crate) const fn add(self, other: Self) -> Self {
        Self::new(self.a.wrapping_add(other.a), self.b.wrapping_add(other.b))
    }
    pub(crate) const fn sub(self, other: Self) -> Self {
        Self::new(self.a.wrapping_sub(other.a), self.b.wrapping_sub(other.b))
    }
    /// (a + b w)(c + d w) = (ac - bd) + (ad + bc - bd) w, as w^2 = -w - 1.
    pub(crate) const fn mul(self, other: Self) -> Self {
        let (ac, bd) = (self.a.wrapping_mul(other.a), self.b.wrapping_mul(other.b));
        let cross = self.a.wrapping_mul(other.b).wrapping_add(self.b.wrapping_mul(other.a));
        Self::new(ac.wrapping_sub(bd), cross.wrapping_sub(bd))
    }
    /// The inverse of a unit: conjugate over norm. An element is a unit when its norm a^2 - ab + b^2 is odd.
    const fn inverse(self) -> Self {
        let (a, b) = (self.a, self.b);
        let norm = a.wrapping_mul(a).wrapping_sub(a.wrapping_mul(b)).wrapping_add(b.wrapping_mul(b));
        // Newton's iteration doubles the correct low bits; an odd number is its own inverse mod 8.
        let mut inverse = norm;
        let mut bits = 3;
        while bits < 16 {
            inverse = inverse.wrapping_mul(2u16.wrapping_sub(norm.wrapping_mul(inverse)));
            bits *= 2;
        }
        let conjugate = Self::new(a.wrapping_sub(b), 0u16.wrapping_sub(b));
        conjugate.mul(Self::new(inverse, 0))
    }
}

/// The evaluation point of `node`.
const fn point(node: usize) -> Element {
    match node {
        0 => Element::new(1, 0),
        1 => Element::new(0, 1),
        _ => Element::new(1, 1),
    }
}

/// Coefficients with which a node turns its two additive components into its Shamir share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conversion {
    own: Element,
    next: Element,
}

impl Conversion {
    /// Y_i = x_i f_i(a_i) + x_{i+1} f_{i+1}(a_i), where f_j(X) = 1 - X / a_{e(j)} is 1 at 0 and 0 at the point of e(j), the
    /// node that lacks x_j.
    pub(crate) fn of(node: NodeId) -> Self {
        let here = point(node.index());
        let f = |lacking: NodeId| Element::ONE.sub(here.mul(point(lacking.index()).inverse()));
        // x_j is held by nodes j and j - 1, so j + 1 lacks it: x_i is lacking at i + 1, x_{i+1} at i + 2.
        Self { own: f(node.next()), next: f(node.next().next()) }
    }
    /// The Shamir share of a packed pair of coordinates.
    pub(crate) fn apply(self, own: Element, next: Element) -> Element {
        own.mul(self.own).add(next.mul(self.next))
    }
}

/// The Lagrange coefficient of `node` at 0 for polynomials of degree 2 through all three points.
pub(crate) fn lagrange(node: NodeId) -> Element {
    let here = point(node.index());
    let mut coefficient = Element::ONE;
    for other in [node.next(), node.prev()] {
        let there = point(other.index());
        coefficient = coefficient.mul(there).mul(there.sub(here).inverse());
    }
    coefficient
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn element() -> impl Strategy<Value = Element> {
        (any::<u16>(), any::<u16>()).prop_map(|(a, b)| Element::new(a, b))
    }

    /// Shares of `x` with components `x1`, `x2`, x - x1 - x2.
    fn shamir(x: Element, x1: Element, x2: Element) -> [Element; 3] {
        let components = [x1, x2, x.sub(x1).sub(x2)];
        NodeId::ALL.map(|n| Conversion::of(n).apply(components[n.index()], components[n.next().index()]))
    }

    #[test]
    fn differences_of_points_are_units() {
        let points = [Element::new(0, 0), point(0), point(1), point(2)];
        for (i, p) in points.iter().enumerate() {
            for q in &points[i + 1..] {
                let d = p.sub(*q);
                assert_eq!(d.mul(d.inverse()), Element::ONE);
            }
        }
    }

    proptest! {
        #[test]
        fn every_two_shares_give_the_secret(x in element(), x1 in element(), x2 in element()) {
            let y = shamir(x, x1, x2);
            for i in 0..3 {
                let j = (i + 1) % 3;
                let (p, q) = (point(i), point(j));
                // Degree 1 through two points, at 0.
                let at = |p: Element, q: Element| q.mul(q.sub(p).inverse());
                prop_assert_eq!(y[i].mul(at(p, q)).add(y[j].mul(at(q, p))), x);
            }
        }

        #[test]
        fn products_of_shares_give_the_product(
            x in element(), x1 in element(), x2 in element(), y in element(), y1 in element(), y2 in element(),
        ) {
            let (xs, ys) = (shamir(x, x1, x2), shamir(y, y1, y2));
            let sum = NodeId::ALL
                .map(|n| lagrange(n).mul(xs[n.index()]).mul(ys[n.index()]))
                .into_iter()
                .fold(Element::new(0, 0), Element::add);
            prop_assert_eq!(sum, x.mul(y));
        }
    }
}
