/* Rows counted into the fixed bins of a profile: profile.py says what they mean. Counts are integers, so neither the order of rows nor that of threads
 * matters; threads share them. */
typedef struct {
    uint64_t columns, inputs;
    const uint64_t *first; /* by column, inputs and then outputs, and the end: its first edge */
    const double *edge;    /* those of a column ascend */
    uint64_t *count;       /* of each column one more than edges, and what is missing */
} profile_t;

INLINE uint64_t bin_of(const profile_t *p, uint64_t column, double value) {
    uint64_t first = p->first[column], edges = p->first[column + 1] - first;
    uint64_t bin = value != value ? edges + 1 : count_below(p->edge + first, (uint32_t)edges, value);
    return first + 2 * column + bin;
}

INLINE void add(uint64_t *count, uint64_t more) { __atomic_fetch_add(count, more, __ATOMIC_RELAXED); }

/* Count rows, shape (count, inputs), with their scores, shape (count, outputs). Gives 0, or 1 when there is no memory. */
EXPORT int count_rows(const profile_t *p, const double *rows, uint64_t count, const double *scores) {
    uint64_t bins = p->first[p->columns] + 2 * p->columns, *mine = NULL;
    /* Threads that add to the same few places would wait for each other. */
    if (count >= BLOCK && !(mine = calloc(bins, sizeof *mine))) return 1;
    for (uint64_t r = 0; r < count; r++, rows += p->inputs, scores += p->columns - p->inputs)
        for (uint64_t c = 0; c < p->columns; c++) {
            uint64_t bin = bin_of(p, c, c < p->inputs ? rows[c] : scores[c - p->inputs]);
            if (mine) mine[bin]++;
            else add(p->count + bin, 1);
        }
    for (uint64_t i = 0; mine && i < bins; i++)
        if (mine[i]) add(p->count + i, mine[i]);
    free(mine);
    return 0;
}

/* Score one row of a model with one output, and count it; NaN, and not counted, where that is the score or there is no memory. */
EXPORT double score_counted(const forest_t *f, const double *row, const profile_t *p) {
    double found;
    if (predict_rows(f, row, 1, 0, &found) || found != found) return NAN;
    count_rows(p, row, 1, &found);
    return found;
}
