/* Judges images with a trained model, from C: predict_c MODEL IMAGE...
 * Prints for each its decision, its score and the box of its strongest region, as x,y,width,height. */
#include <dinomaly.h>
#include <stdio.h>

static int print_result(const char* path, const dinomaly_result* result) {
  const dinomaly_decision decision = dinomaly_result_decision(result);
  const char* word = decision == DINOMALY_ANOMALOUS ? "anomalous" : decision == DINOMALY_GOOD ? "good" : "-";
  dinomaly_region region;
  printf("%-10s %.6f  %s", word, dinomaly_result_score(result), path);
  if (dinomaly_result_region_count(result) > 0) {
    if (dinomaly_result_region(result, 0, &region) != DINOMALY_OK) return 2;
    printf("  %ld,%ld,%ld,%ld", (long)region.x, (long)region.y, (long)region.width, (long)region.height);
  }
  printf("\n");
  return 0;
}

int main(int argc, char** argv) {
  dinomaly_detector* detector;
  dinomaly_result* result;
  int i, status = 0;
  if (argc < 3) {
    fprintf(stderr, "usage: predict_c MODEL IMAGE...\n");
    return 2;
  }
  if (dinomaly_abi_version() != DINOMALY_ABI_VERSION) {
    fprintf(stderr, "predict_c: libdinomaly is of another ABI version\n");
    return 2;
  }
  if (dinomaly_open(argv[1], NULL, &detector) != DINOMALY_OK) {
    fprintf(stderr, "predict_c: %s\n", dinomaly_last_error());
    return 2;
  }
  for (i = 2; i < argc; ++i) {
    if (dinomaly_predict_file(detector, argv[i], &result) != DINOMALY_OK) {
      fprintf(stderr, "predict_c: %s\n", dinomaly_last_error());
      status = 2;
      continue;
    }
    if (print_result(argv[i], result) != 0) status = 2;
    dinomaly_result_free(result);
  }
  dinomaly_free(detector);
  return status;
}
