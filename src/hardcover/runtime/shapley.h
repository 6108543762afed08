/* Explanations: path-dependent Shapley values (Lundberg et al. 2020, "From local explanations to global understanding with explainable
 * AI for trees"). For a leaf reached by a path with D different features, let z be the share of the training rows that
 * follow the path at a feature's splits, and o whether this row does, 1 or 0. The Shapley weight s!(D-1-s)!/D! is the
 * integral of t^s (1-t)^(D-1-s) over [0, 1], so the feature j gets
 *
 *     leaf x (o_j - z_j) x integral over t of the product over the other features k of (z_k (1-t) + o_k t),
 *
 * of a polynomial of degree D-1, which Gauss and Legendre's rule with D/2 points gives exactly. So a walk down carries the
 * product at each point, and a walk up the sum over the leaves below; a split is credited with what its two edges change
 * of (o-z) / (z(1-t) + ot), which telescopes where a feature comes again further down.
 *
 * The file includes itself once for each kind of processor, with WIDTH points in a VECTOR; where a processor has no vectors of VECTOR
 * doubles, the compiler takes smaller ones, to the same bits.
 */
#ifndef WIDTH

typedef struct {
    uint32_t node, left, before, feature;   /* nodes count from the tree's first; before: the edge of this feature above, or 0 */
    double z[2], scale[2];                  /* of the children: z, and a leaf's value or 1 */
    double missing, inverse;                /* 1 - z and 1 / z of before */
} split_t;

_Static_assert(sizeof(split_t) == 64, "kernel.py makes room for them");

typedef struct {
    uint64_t lanes;             /* the most points of any tree, as a multiple of 4 */
    uint64_t widest;            /* the most nodes of any tree */
    split_t *split;             /* by split, trees in turn */
    uint32_t *first;            /* by tree, and the end: its first split */
    uint32_t *points;           /* by tree: points, a multiple of 4 */
    const double *rule;         /* for each multiple of 4 up to lanes: t, 1 - t, 1 / (1 - t) and weights */
    double *edge;               /* by node: 1 / (z (1-t) + t), lanes apart; NULL: made tree by tree */
    double *base;               /* by output: the mean over the training rows */
} explainer_t;

/* Where the rule with that many points starts: after those with 4, 8, ... */
INLINE const double *rule_of(const explainer_t *e, uint64_t points) { return e->rule + points / 2 * (points - 4); }

INLINE void make_edges(const split_t *split, uint64_t count, const double *rule, uint64_t points, double *edge) {
    const double *t = rule, *u = rule + points;
    for (uint64_t q = 0; q < points; q++) edge[q] = 1.0;
    for (uint64_t s = 0; s < count; s++)
        for (int side = 0; side < 2; side++) {
            double *to = edge + (split[s].left + side) * points, z = split[s].z[side];
            for (uint64_t q = 0; q < points; q++) to[q] = 1.0 / (z * u[q] + t[q]);
        }
}

/* Fill an explainer whose arrays have room. Gives 0, 1 without memory, 2 when a tree is deeper than `most`. */
EXPORT int prepare(const forest_t *f, explainer_t *e, uint32_t most) {
    uint64_t splits = 0, widest = e->widest;
    uint32_t *parent = malloc(widest * sizeof *parent), *before = malloc(widest * sizeof *before);
    uint32_t *unlike = malloc(widest * sizeof *unlike), *edge_feature = malloc(widest * sizeof *edge_feature);
    double *z = malloc(widest * sizeof *z), *share = malloc(widest * sizeof *share);
    int failed = !parent || !before || !unlike || !edge_feature || !z || !share;
    memset(e->base, 0, f->outputs * sizeof *e->base);
    for (uint64_t t = 0; t < f->trees && !failed; t++) {
        uint64_t first = f->tree[t], count = f->tree[t + 1] - first;
        uint32_t different = 0;
        double mean = 0.0;
        e->first[t] = (uint32_t)splits;
        if (f->depth[t] > most) {
            failed = 2;
            break;
        }
        parent[0] = before[0] = unlike[0] = 0;
        edge_feature[0] = UINT32_MAX;
        z[0] = share[0] = 1.0;
        for (uint32_t i = 0; i < count; i++) {
            node_t n = f->node[first + i];
            uint32_t left = n.child - (uint32_t)first;
            if (left == i) {
                mean += value_of(f, first + i) * share[i];
                different = unlike[i] > different ? unlike[i] : different;
                continue;
            }
            uint32_t feature = 0, above = i;
            if (n.slot < f->slots) feature = f->slot_feature[n.slot];
            else
                for (uint64_t k = 0; k < f->tables; k++)
                    if (n.slot >= f->table_slot[k]) feature = f->table_feature[k];
            while (above && edge_feature[above] != feature) above = parent[above];
            split_t *split = e->split + splits++;
            *split = (split_t){i, left, above, feature, {0}, {0}, 1.0 - z[above], z[above] > 0.0 ? 1.0 / z[above] : 0.0};
            for (int side = 0; side < 2; side++) {
                uint32_t child = left + side;
                double whole = f->cover[first + i], part = f->cover[first + child];
                double ratio = whole > 0.0 ? part / whole : 0.0;
                parent[child] = i;
                edge_feature[child] = feature;
                unlike[child] = unlike[i] + !above;
                z[child] = z[above] * ratio;
                share[child] = share[i] * ratio;
                split->z[side] = z[child];
                split->scale[side] = f->node[first + child].child == first + child ? value_of(f, first + child) : 1.0;
            }
        }
        e->base[t % f->outputs] += mean;
        e->points[t] = (different + 7) / 8 * 4;
        if (e->points[t] < 4) e->points[t] = 4;
        if (e->points[t] > e->lanes) e->lanes = e->points[t];
    }
    e->first[f->trees] = (uint32_t)splits;
    free(parent);
    free(before);
    free(unlike);
    free(edge_feature);
    free(z);
    free(share);
    return failed;
}

/* Once the rules are there: the edges of all trees. */
EXPORT void prepare_edges(const forest_t *f, explainer_t *e) {
    for (uint64_t t = 0; t < f->trees; t++)
        make_edges(e->split + e->first[t], e->first[t + 1] - e->first[t], rule_of(e, e->points[t]), e->points[t],
                   e->edge + f->tree[t] * e->lanes);
}

typedef double two_t __attribute__((vector_size(16), aligned(8)));
typedef double four_t __attribute__((vector_size(32), aligned(8)));

#define VECTOR two_t
#define WIDTH 2
#define PROCESSOR
#define FOR_PROCESSOR(name) name##_anywhere
#include "shapley.h"
#if defined(__x86_64__) && !defined(ANY_PROCESSOR)
#define WITH_AVX2
#define VECTOR four_t
#define WIDTH 4
#define PROCESSOR __attribute__((target("avx2")))
#define FOR_PROCESSOR(name) name##_avx2
#include "shapley.h"
#endif

/* Explain rows: shape (count, outputs, features + 1), the base value last; in the unit of the raw score.
 * Gives 0, or 1 when there is no memory. */
EXPORT int explain(const forest_t *f, const double *rows, uint64_t count, const explainer_t *e, double *values) {
#ifdef WITH_AVX2
    if (f->processor >= 2) return explain_rows_avx2(f, e, rows, count, values);
#endif
    return explain_rows_anywhere(f, e, rows, count, values);
}

#else /* included for a kind of processor */

PROCESSOR static inline __attribute__((always_inline)) void FOR_PROCESSOR(explain_tree)(
    const forest_t *f, const explainer_t *e, uint64_t tree, const VECTOR *edge, const double *row, const uint16_t *slots,
    VECTOR *carry, uint8_t *follows, VECTOR *credit, const uint64_t parts) {
    const split_t *split = e->split + e->first[tree];
    uint64_t count = e->first[tree + 1] - e->first[tree], stride = e->lanes / WIDTH;
    uint32_t root = f->tree[tree];
    const VECTOR *t = (const VECTOR *)rule_of(e, WIDTH * parts), *u = t + parts, *inverse = u + parts, *weight = inverse + parts;
    uint8_t *right = follows + e->widest;
    follows[0] = 1;
    for (uint64_t q = 0; q < parts; q++) carry[q] = weight[q];
    for (uint64_t s = 0; s < count; s++) {
        const split_t *p = split + s;
        uint32_t side = goes_right(f, row, slots, root + p->node, 1);
        const VECTOR *from = carry + p->node * parts, *above = edge + p->before * parts;
        VECTOR *hot = carry + (p->left + side) * parts, *cold = carry + (p->left + 1 - side) * parts;
        uint8_t follow = follows[p->before];
        right[s] = (uint8_t)side;
        follows[p->left + side] = follow;
        follows[p->left + 1 - side] = 0;
        double hot_z = p->z[side], cold_z = p->z[1 - side], hot_scale = p->scale[side], cold_scale = p->scale[1 - side];
        if (follow)
            for (uint64_t q = 0; q < parts; q++) {
                VECTOR part = from[q] * above[q];
                hot[q] = part * (hot_z * u[q] + t[q]) * hot_scale;
                cold[q] = part * (cold_z * cold_scale * u[q]);
            }
        else {
            hot_scale *= hot_z * p->inverse;
            cold_scale *= cold_z * p->inverse;
            for (uint64_t q = 0; q < parts; q++) {
                VECTOR part = from[q];
                hot[q] = part * hot_scale;
                cold[q] = part * cold_scale;
            }
        }
    }
    for (uint64_t s = count; s-- > 0;) {
        const split_t *p = split + s;
        uint32_t side = right[s];
        const VECTOR *hot = carry + (p->left + side) * parts, *cold = carry + (p->left + 1 - side) * parts;
        VECTOR *to = carry + p->node * parts, *mine = credit + p->feature * stride;
        if (follows[p->before]) {
            const VECTOR *above = edge + p->before * parts, *here = edge + (p->left + side) * parts;
            double gain = 1.0 - p->z[side], missing = p->missing;
            for (uint64_t q = 0; q < parts; q++) {
                VECTOR a = hot[q], b = cold[q], both = a + b;
                mine[q] += gain * here[q] * a - inverse[q] * b - missing * above[q] * both;
                to[q] = both;
            }
        } else
            for (uint64_t q = 0; q < parts; q++) to[q] = hot[q] + cold[q];
    }
}

PROCESSOR static int FOR_PROCESSOR(explain_rows)(const forest_t *f, const explainer_t *e, const double *rows, uint64_t count,
                                                 double *values) {
    enum { ROWS = 16 };
    uint64_t block = count < ROWS ? count : ROWS, stride = e->lanes / WIDTH, width = f->features + 1;
    uint64_t places = f->outputs * f->features;
    uint16_t *slots = malloc(f->all_slots * block * sizeof *slots);
    VECTOR *carry = malloc(e->widest * stride * sizeof *carry), *credit = malloc(block * places * stride * sizeof *credit);
    VECTOR *scratch = e->edge ? NULL : malloc(e->widest * stride * sizeof *scratch);
    uint8_t *follows = malloc(2 * e->widest);
    int failed = !slots || !carry || !credit || !follows || (!e->edge && !scratch);
    for (uint64_t r = 0; r < count && !failed; r += block) {
        uint64_t here = count - r < block ? count - r : block;
        for (uint64_t i = 0; i < here; i++) fill_slots(f, rows + (r + i) * f->features, slots + i * f->all_slots);
        memset(credit, 0, here * places * stride * sizeof *credit);
        for (uint64_t t = 0; t < f->trees; t++) {
            uint64_t points = e->points[t], output = t % f->outputs;
            const VECTOR *edge = e->edge ? (const VECTOR *)e->edge + f->tree[t] * stride : scratch;
            if (!e->edge)
                make_edges(e->split + e->first[t], e->first[t + 1] - e->first[t], rule_of(e, points), points, (double *)scratch);
            for (uint64_t i = 0; i < here; i++) {
                const double *row = rows + (r + i) * f->features;
                const uint16_t *mine = slots + i * f->all_slots;
                VECTOR *to = credit + (i * f->outputs + output) * f->features * stride;
                /* With the number of points known, they stay in registers. */
                switch (points) {
                case 4: FOR_PROCESSOR(explain_tree)(f, e, t, edge, row, mine, carry, follows, to, 4 / WIDTH); break;
                case 8: FOR_PROCESSOR(explain_tree)(f, e, t, edge, row, mine, carry, follows, to, 8 / WIDTH); break;
                default: FOR_PROCESSOR(explain_tree)(f, e, t, edge, row, mine, carry, follows, to, points / WIDTH);
                }
            }
        }
        for (uint64_t i = 0; i < here; i++)
            for (uint64_t k = 0; k < f->outputs; k++) {
                double *to = values + ((r + i) * f->outputs + k) * width;
                for (uint64_t j = 0; j < f->features; j++) {
                    const double *from = (const double *)(credit + ((i * f->outputs + k) * f->features + j) * stride);
                    double sum = 0.0;
                    for (uint64_t q = 0; q < e->lanes; q++) sum += from[q];
                    to[j] = sum;
                }
                to[f->features] = e->base[k];
            }
    }
    free(slots);
    free(carry);
    free(credit);
    free(scratch);
    free(follows);
    return failed;
}

#undef VECTOR
#undef WIDTH
#undef PROCESSOR
#undef FOR_PROCESSOR
#endif
