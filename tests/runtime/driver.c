/* Runs the kernel in a process of its own, under sanitizers or an emulator: models on standard input, answers on standard
 * output. Each array has memory of exactly its size, so that a sanitizer sees every step beside it. driven.py talks to it. */
#include "kernel.c"

#include <stdio.h>

enum { ARRAYS = 26, MOST_LANES = 32 };

static void take(void *to, size_t size) {
    if (fread(to, 1, size, stdin) != size) exit(size ? 3 : 0);
}

static void *take_array(void) {
    uint64_t size;
    take(&size, sizeof size);
    void *array = malloc(size ? size : 1);
    take(array, size);
    return array;
}

static void give(const void *from, size_t size) {
    uint64_t length = size;
    fwrite(&length, sizeof length, 1, stdout);
    fwrite(from, 1, size, stdout);
}

/* Let each way that this processor has answer the same rows, together and one by one; ends the process where a bit differs. */
static void compare_lanes(forest_t *f, const double *rows, uint64_t count, const double *scores, const uint32_t *found) {
    for (uint32_t most = 1; most <= 3; most++) {
        if (!arrange(f, most)) continue;
        for (uint64_t here = count; here; here = here > 1) {
            double *raw = malloc(here * f->outputs * sizeof *raw + 1);
            uint32_t *leaf = malloc(here * f->trees * sizeof *leaf + 1);
            for (uint64_t r = 0; r < count; r += here) {
                if (predict(f, rows + r * f->features, here, 1, raw) || leaves(f, rows + r * f->features, here, NULL, leaf)) exit(4);
                if (memcmp(raw, scores + r * f->outputs, here * f->outputs * sizeof *raw) || memcmp(leaf, found + r * f->trees, here * f->trees * sizeof *leaf)) {
                    fprintf(stderr, "lanes %u: other bits at row %u of %u\n", most, (unsigned)r, (unsigned)count);
                    exit(6);
                }
            }
            free(raw);
            free(leaf);
        }
        dismiss(f);
        f->lanes = NULL;
    }
}

int main(void) {
    for (;;) {
        forest_t f = {0};
        void *arrays[ARRAYS];
        double numbers[3];
        uint64_t rows;
        if (fread(&f, sizeof(uint64_t), 14, stdin) != 14) return 0;
        take(&f.all_slots, sizeof f.all_slots);
        take(numbers, sizeof numbers);
        f.slope = numbers[0], f.divisor = numbers[1], f.link = (uint32_t)numbers[2];
        f.exp = exp, f.log1p = log1p;
        for (int i = 0; i < ARRAYS; i++) arrays[i] = take_array();
        memcpy(&f.node, arrays, sizeof arrays);
        double *rule = take_array(), *row = take_array();
        take(&rows, sizeof rows);
        f.depth = malloc(f.trees * sizeof *f.depth + 1);

        int32_t broken = check(&f);
        give(&broken, sizeof broken);
        if (!broken) {
            double *scores = malloc(rows * f.outputs * sizeof *scores + 1);
            uint32_t *found = malloc(rows * f.trees * sizeof *found + 1);
            for (int raw = 0; raw < 2; raw++) {
                if (predict(&f, row, rows, raw, scores)) return 4;
                give(scores, rows * f.outputs * sizeof *scores);
            }
            if (leaves(&f, row, rows, NULL, found)) return 4;
            give(found, rows * f.trees * sizeof *found);
            compare_lanes(&f, row, rows, scores, found);

            explainer_t e = {.lanes = 4, .widest = 1, .rule = rule};
            uint64_t splits = f.nodes / 2 + 1, width = f.outputs * (f.features + 1);
            for (uint64_t t = 0; t < f.trees; t++) {
                uint64_t wide = f.tree[t + 1] - f.tree[t];
                e.widest = wide > e.widest ? wide : e.widest;
            }
            e.split = malloc(splits * sizeof *e.split);
            e.first = malloc((f.trees + 1) * sizeof *e.first);
            e.points = malloc(f.trees * sizeof *e.points + 1);
            e.base = malloc(f.outputs * sizeof *e.base);
            int32_t failed = prepare(&f, &e, 1024);
            if (e.lanes > MOST_LANES) failed = 5;
            give(&failed, sizeof failed);
            if (!failed) {
                double *values = malloc(rows * width * sizeof *values + 1);
                for (int kept = 0; kept < 2; kept++) {
                    if (kept) {
                        e.edge = malloc(f.nodes * e.lanes * sizeof *e.edge + 1);
                        prepare_edges(&f, &e);
                    }
                    if (explain(&f, row, rows, &e, values)) return 4;
                    give(values, rows * width * sizeof *values);
                }
                free(values);
                free(e.edge);
            }
            free(e.split);
            free(e.first);
            free(e.points);
            free(e.base);
            free(scores);
            free(found);
        }
        for (int i = 0; i < ARRAYS; i++) free(arrays[i]);
        free(rule);
        free(row);
        free(f.depth);
        fflush(stdout);
    }
}
