/* The part of kernel.c that is compiled once for each kind of processor: PROCESSOR marks its functions, FOR_PROCESSOR names
 * them. Four points at a time, as vectors; where a processor has no vectors of VECTOR doubles, the compiler takes smaller ones,
 * to the same bits. */

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
