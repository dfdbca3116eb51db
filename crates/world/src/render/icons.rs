//! The sixteen icons, each in a box of 100 × 100 units.
//!
//! What tells them apart at 12 pixels is the silhouette, so each has one nobody else has; details are for
//! people. The largest areas have the object's colour, since that is what the texts call its colour.

use super::parts::{Icon, Ink, Part, circle, curve, oval, polygon, polyline};
use crate::kind::Kind;

/// The parts of a kind's icon, from the back.
pub(super) fn icon(kind: Kind) -> Vec<Part> {
    let mut icon = Icon::default();
    match kind {
        Kind::Ball => ball(&mut icon),
        Kind::Bike => bike(&mut icon),
        Kind::Bird => bird(&mut icon),
        Kind::Boat => boat(&mut icon),
        Kind::Book => book(&mut icon),
        Kind::Car => car(&mut icon),
        Kind::Cat => cat(&mut icon),
        Kind::Chair => chair(&mut icon),
        Kind::Clock => clock(&mut icon),
        Kind::Cup => cup(&mut icon),
        Kind::Dog => dog(&mut icon),
        Kind::Fish => fish(&mut icon),
        Kind::Kite => kite(&mut icon),
        Kind::Lamp => lamp(&mut icon),
        Kind::Tree => tree(&mut icon),
        Kind::Umbrella => umbrella(&mut icon),
    }
    icon.parts
}

fn ball(icon: &mut Icon) {
    icon.area(circle(50.0, 50.0, 45.0), Ink::Main)
        .line(
            curve((50.0, 6.0), &[[22.0, 50.0, 50.0, 94.0]], false),
            Ink::Detail,
            5.0,
        )
        .line(
            curve((50.0, 6.0), &[[78.0, 50.0, 50.0, 94.0]], false),
            Ink::Detail,
            5.0,
        )
        .line(
            curve((8.0, 42.0), &[[50.0, 62.0, 92.0, 42.0]], false),
            Ink::Detail,
            5.0,
        );
}

fn bike(icon: &mut Icon) {
    for x in [24.0, 76.0] {
        icon.bar(circle(x, 66.0, 19.0), Ink::Main, 7.0);
    }
    let frame = [
        (24.0, 66.0),
        (40.0, 36.0),
        (67.0, 36.0),
        (50.0, 66.0),
        (24.0, 66.0),
    ];
    icon.bar(polyline(&frame), Ink::Main, 6.5)
        .bar(polyline(&[(50.0, 66.0), (36.0, 27.0)]), Ink::Main, 6.5)
        .bar(polyline(&[(76.0, 66.0), (64.0, 24.0)]), Ink::Main, 6.5)
        .bar(polyline(&[(64.0, 22.0), (80.0, 18.0)]), Ink::Line, 5.0)
        .bar(polyline(&[(27.0, 24.0), (46.0, 24.0)]), Ink::Line, 6.0);
}

fn bird(icon: &mut Icon) {
    let beak = [(84.0, 30.0), (100.0, 37.0), (84.0, 44.0)];
    let tail = [(30.0, 56.0), (0.0, 42.0), (6.0, 66.0), (30.0, 72.0)];
    icon.line(polyline(&[(44.0, 80.0), (42.0, 97.0)]), Ink::Line, 5.0)
        .line(polyline(&[(56.0, 80.0), (58.0, 97.0)]), Ink::Line, 5.0)
        .area(polygon(&beak), Ink::Wood)
        .area(polygon(&tail), Ink::Shade)
        .area(oval(48.0, 60.0, 31.0, 25.0), Ink::Main)
        .area(circle(70.0, 35.0, 19.0), Ink::Main)
        .flat(oval(58.0, 50.0, 16.0, 15.0), Ink::Main)
        .area(
            curve(
                (60.0, 50.0),
                &[[56.0, 82.0, 18.0, 76.0], [24.0, 50.0, 60.0, 50.0]],
                true,
            ),
            Ink::Shade,
        )
        .flat(circle(75.0, 31.0, 4.5), Ink::Detail);
}

fn boat(icon: &mut Icon) {
    let hull = [(3.0, 66.0), (97.0, 66.0), (80.0, 93.0), (20.0, 93.0)];
    icon.bar(polyline(&[(50.0, 66.0), (50.0, 6.0)]), Ink::Wood, 4.0)
        .area(
            polygon(&[(46.0, 10.0), (46.0, 58.0), (10.0, 58.0)]),
            Ink::Main,
        )
        .area(
            polygon(&[(55.0, 16.0), (55.0, 58.0), (90.0, 58.0)]),
            Ink::Main,
        )
        .area(polygon(&hull), Ink::Main)
        .line(polyline(&[(14.0, 76.0), (86.0, 76.0)]), Ink::Detail, 4.0);
}

fn book(icon: &mut Icon) {
    let pages = [(18.0, 80.0), (86.0, 80.0), (86.0, 95.0), (18.0, 95.0)];
    let cover = [(14.0, 6.0), (86.0, 6.0), (86.0, 82.0), (14.0, 82.0)];
    let spine = [(14.0, 6.0), (29.0, 6.0), (29.0, 96.0), (14.0, 96.0)];
    icon.area(polygon(&pages), Ink::Paper)
        .line(polyline(&[(30.0, 88.0), (84.0, 88.0)]), Ink::Metal, 2.5)
        .area(polygon(&cover), Ink::Main)
        .area(polygon(&spine), Ink::Shade)
        .line(polyline(&[(42.0, 26.0), (74.0, 26.0)]), Ink::Detail, 6.0)
        .line(polyline(&[(42.0, 40.0), (66.0, 40.0)]), Ink::Detail, 5.0);
}

fn car(icon: &mut Icon) {
    let body = curve(
        (3.0, 74.0),
        &[
            [0.0, 52.0, 14.0, 50.0],
            [20.0, 48.0, 24.0, 46.0],
            [32.0, 25.0, 42.0, 25.0],
            [62.0, 25.0, 66.0, 27.0],
            [74.0, 36.0, 80.0, 48.0],
            [99.0, 50.0, 98.0, 74.0],
        ],
        true,
    );
    let rear = [(32.0, 47.0), (40.0, 32.0), (50.0, 32.0), (50.0, 47.0)];
    let front = [(56.0, 47.0), (56.0, 32.0), (64.0, 33.0), (72.0, 47.0)];
    icon.area(body, Ink::Main)
        .area(polygon(&rear), Ink::Paper)
        .area(polygon(&front), Ink::Paper);
    for x in [26.0, 75.0] {
        icon.area(circle(x, 74.0, 13.0), Ink::Line)
            .flat(circle(x, 74.0, 5.5), Ink::Metal);
    }
}

fn cat(icon: &mut Icon) {
    icon.area(
        polygon(&[(10.0, 4.0), (46.0, 26.0), (14.0, 52.0)]),
        Ink::Main,
    )
    .area(
        polygon(&[(90.0, 4.0), (54.0, 26.0), (86.0, 52.0)]),
        Ink::Main,
    )
    .area(oval(50.0, 58.0, 43.0, 37.0), Ink::Main)
    .flat(oval(50.0, 45.0, 26.0, 18.0), Ink::Main)
    .flat(oval(33.0, 50.0, 5.5, 8.0), Ink::Detail)
    .flat(oval(67.0, 50.0, 5.5, 8.0), Ink::Detail)
    .flat(
        polygon(&[(44.0, 64.0), (56.0, 64.0), (50.0, 71.0)]),
        Ink::Detail,
    );
    for (from, to) in [(62.0, 56.0), (70.0, 72.0)] {
        icon.line(polyline(&[(34.0, from + 3.0), (4.0, to)]), Ink::Detail, 3.0)
            .line(
                polyline(&[(66.0, from + 3.0), (96.0, to)]),
                Ink::Detail,
                3.0,
            );
    }
    icon.line(
        curve((50.0, 71.0), &[[44.0, 82.0, 37.0, 77.0]], false),
        Ink::Detail,
        3.0,
    )
    .line(
        curve((50.0, 71.0), &[[56.0, 82.0, 63.0, 77.0]], false),
        Ink::Detail,
        3.0,
    );
}

fn chair(icon: &mut Icon) {
    let back = [(18.0, 4.0), (31.0, 4.0), (34.0, 58.0), (20.0, 58.0)];
    let seat = [(18.0, 50.0), (80.0, 50.0), (84.0, 63.0), (18.0, 63.0)];
    icon.area(
        polygon(&[(19.0, 60.0), (30.0, 60.0), (26.0, 97.0), (15.0, 97.0)]),
        Ink::Shade,
    )
    .area(
        polygon(&[(69.0, 60.0), (80.0, 60.0), (85.0, 97.0), (74.0, 97.0)]),
        Ink::Shade,
    )
    .area(polygon(&back), Ink::Main)
    .area(polygon(&seat), Ink::Main);
}

fn clock(icon: &mut Icon) {
    icon.bar(polyline(&[(28.0, 82.0), (18.0, 96.0)]), Ink::Shade, 7.0)
        .bar(polyline(&[(72.0, 82.0), (82.0, 96.0)]), Ink::Shade, 7.0)
        .area(circle(22.0, 18.0, 14.0), Ink::Shade)
        .area(circle(78.0, 18.0, 14.0), Ink::Shade)
        .area(circle(50.0, 54.0, 38.0), Ink::Main)
        .area(circle(50.0, 54.0, 24.0), Ink::Paper)
        .line(polyline(&[(50.0, 54.0), (50.0, 38.0)]), Ink::Line, 5.0)
        .line(polyline(&[(50.0, 54.0), (61.0, 61.0)]), Ink::Line, 5.0);
}

fn cup(icon: &mut Icon) {
    let body = [(10.0, 24.0), (68.0, 24.0), (63.0, 92.0), (15.0, 92.0)];
    icon.bar(
        curve(
            (65.0, 38.0),
            &[[96.0, 34.0, 92.0, 56.0], [88.0, 76.0, 64.0, 74.0]],
            false,
        ),
        Ink::Main,
        9.0,
    )
    .area(polygon(&body), Ink::Main)
    .area(oval(39.0, 24.0, 29.0, 9.0), Ink::Shade);
}

fn dog(icon: &mut Icon) {
    for x in [20.0, 32.0, 54.0, 65.0] {
        let leg = [(x, 60.0), (x + 9.0, 60.0), (x + 9.0, 95.0), (x, 95.0)];
        icon.area(polygon(&leg), Ink::Main);
    }
    icon.bar(
        curve((19.0, 48.0), &[[6.0, 44.0, 4.0, 22.0]], false),
        Ink::Main,
        7.0,
    )
    .area(oval(46.0, 56.0, 31.0, 15.0), Ink::Main)
    .area(
        polygon(&[(60.0, 52.0), (62.0, 26.0), (82.0, 30.0), (76.0, 60.0)]),
        Ink::Main,
    )
    .area(oval(86.0, 38.0, 13.0, 9.0), Ink::Main)
    .area(circle(72.0, 30.0, 16.0), Ink::Main)
    .flat(oval(81.0, 37.0, 10.0, 7.0), Ink::Main)
    .area(oval(61.0, 34.0, 7.0, 16.0), Ink::Shade)
    .flat(circle(76.0, 26.0, 3.6), Ink::Detail)
    .flat(circle(97.0, 35.0, 4.0), Ink::Line)
    .flat(oval(45.0, 56.0, 26.0, 10.0), Ink::Main);
}

fn fish(icon: &mut Icon) {
    icon.area(
        polygon(&[(34.0, 50.0), (3.0, 22.0), (10.0, 50.0), (3.0, 78.0)]),
        Ink::Shade,
    )
    .area(
        polygon(&[(44.0, 30.0), (62.0, 12.0), (72.0, 32.0)]),
        Ink::Shade,
    )
    .area(
        curve(
            (20.0, 50.0),
            &[[60.0, 8.0, 97.0, 50.0], [60.0, 92.0, 20.0, 50.0]],
            true,
        ),
        Ink::Main,
    )
    .line(
        curve((68.0, 34.0), &[[58.0, 50.0, 68.0, 66.0]], false),
        Ink::Detail,
        4.0,
    )
    .flat(circle(82.0, 45.0, 4.5), Ink::Detail);
}

fn kite(icon: &mut Icon) {
    let diamond = [(62.0, 2.0), (94.0, 34.0), (52.0, 72.0), (30.0, 26.0)];
    icon.line(
        curve(
            (52.0, 72.0),
            &[[56.0, 92.0, 36.0, 84.0], [16.0, 76.0, 10.0, 98.0]],
            false,
        ),
        Ink::Line,
        4.0,
    )
    .area(
        polygon(&[(26.0, 74.0), (38.0, 92.0), (40.0, 76.0), (26.0, 90.0)]),
        Ink::Shade,
    )
    .area(polygon(&diamond), Ink::Main)
    .line(polyline(&[(62.0, 4.0), (52.0, 70.0)]), Ink::Detail, 4.0)
    .line(polyline(&[(32.0, 27.0), (92.0, 34.0)]), Ink::Detail, 4.0);
}

fn lamp(icon: &mut Icon) {
    let shade = [(32.0, 6.0), (68.0, 6.0), (90.0, 52.0), (10.0, 52.0)];
    icon.bar(polyline(&[(50.0, 54.0), (50.0, 84.0)]), Ink::Metal, 6.0)
        .area(oval(50.0, 89.0, 25.0, 8.0), Ink::Main)
        .area(polygon(&shade), Ink::Main)
        .line(polyline(&[(18.0, 44.0), (82.0, 44.0)]), Ink::Detail, 4.0);
}

fn tree(icon: &mut Icon) {
    let trunk = [(42.0, 60.0), (58.0, 60.0), (64.0, 98.0), (36.0, 98.0)];
    icon.area(polygon(&trunk), Ink::Wood)
        .area(circle(26.0, 48.0, 22.0), Ink::Main)
        .area(circle(74.0, 48.0, 22.0), Ink::Main)
        .area(circle(50.0, 28.0, 25.0), Ink::Main)
        .flat(circle(50.0, 48.0, 22.0), Ink::Main)
        .flat(circle(30.0, 46.0, 18.0), Ink::Main)
        .flat(circle(70.0, 46.0, 18.0), Ink::Main);
}

fn umbrella(icon: &mut Icon) {
    icon.bar(
        curve(
            (50.0, 50.0),
            &[
                [50.0, 70.0, 50.0, 84.0],
                [50.0, 98.0, 61.0, 96.0],
                [68.0, 94.0, 67.0, 84.0],
            ],
            false,
        ),
        Ink::Wood,
        5.0,
    )
    .area(
        curve(
            (3.0, 56.0),
            &[
                [6.0, 8.0, 50.0, 8.0],
                [94.0, 8.0, 97.0, 56.0],
                [82.0, 42.0, 66.0, 56.0],
                [50.0, 42.0, 34.0, 56.0],
                [18.0, 42.0, 3.0, 56.0],
            ],
            true,
        ),
        Ink::Main,
    )
    .line(
        curve((50.0, 9.0), &[[36.0, 26.0, 34.0, 53.0]], false),
        Ink::Detail,
        3.5,
    )
    .line(
        curve((50.0, 9.0), &[[64.0, 26.0, 66.0, 53.0]], false),
        Ink::Detail,
        3.5,
    );
}
