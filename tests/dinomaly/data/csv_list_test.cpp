#include <doctest/doctest.h>
#include <sys/stat.h>

#include "dinomaly/base/files.h"
#include "tests/dinomaly/data/layout_tree.h"

namespace dinomaly {

namespace fs = std::filesystem;

TEST_CASE("layout: a CSV with every column") {
  Tree tree;
  tree.add({"a.png", "b,c.png", "d.png", "d_mask.png"});
  write_file(tree.root / "list.csv",
             "Path,Label,Mask,Category,Split\na.png,good,,nut,train\n\"b,c.png\",OK,,nut,test\n"
             "d.png,rust,d_mask.png,nut,test\n");
  const Dataset dataset = read_dataset(tree.root / "list.csv");
  CHECK(dataset.layout == "a CSV list");
  CHECK(dataset.notes.size() == 1);  // that rust is a defect
  CHECK(dataset.categories.at(0).name == "nut");
  CHECK(summary(dataset.categories[0].train) == "good/a");
  CHECK(summary(dataset.categories[0].test) == "good/b,c rust/d+");
}

TEST_CASE(
    "layout: a CSV without a split holds out every fifth good image for testing; wrong ones are refused") {
  Tree tree;
  tree.add({"0.png", "1.png", "2.png", "3.png", "4.png", "x.png"});
  const fs::path list = tree.root / "list.csv";
  const auto error = [&](const std::string& text) {
    write_file(list, text);
    return input_error([&] { read_dataset(list); });
  };
  write_file(list, "path,label\n0.png,0\n1.png,0\n2.png,0\n3.png,0\n4.png,0\nx.png,1\n");
  const Dataset dataset = read_dataset(list);
  CHECK(dataset.notes.size() == 1);
  CHECK(summary(dataset.categories.at(0).train) == "good/0 good/1 good/2 good/3");
  CHECK(summary(dataset.categories[0].test) == "bad/x good/4");
  CHECK(missing_for_evaluation(dataset.categories[0]) == "test images without masks");

  CHECK(error("path\n0.png\n1.png\n").empty());
  CHECK(one_line_with(error(""), "empty"));
  CHECK(one_line_with(error("file\n0.png\n"), "no column 'path'"));
  CHECK(one_line_with(error("path,path\n0.png,1.png\n"), "named twice"));
  CHECK(one_line_with(error("path,label\n0.png\n"), "row 2 has 1 field, but the first has 2"));
  CHECK(one_line_with(error("path\n\"0.png\n"), "quotes"));
  CHECK(one_line_with(error("path\nnone.png\n"), "row 2"));
  CHECK(one_line_with(error("path\n0.png\n0.png\n"), "row 3 names"));
  CHECK(one_line_with(error("path,label\n0.png,good\n1.png,good\n./0.png,bad\n"),
                      "which row 2 has named already"));
  CHECK(one_line_with(error("path,label,split\n0.png,good,train\n0.png,good,test\n"), "which row 2"));
  CHECK(one_line_with(error("path,category\n0.png,nut\n0.png,bolt\n"), "which row 2"));
  CHECK(one_line_with(error("path,label,mask\n0.png,good,none.png\n"), "row 2: mask: "));
  CHECK(one_line_with(error("path,category\n0.png,../out\n"),
                      "row 2: '../out' is not a valid name for a category"));
  CHECK(one_line_with(error("path,split\n0.png,both\n"), "neither train nor test"));
  CHECK(one_line_with(error("path,label,split\n0.png,rust,train\n"), "anomalous"));
  CHECK(one_line_with(error("path,lable\nx.png,1\n"), "column 'lable' is not known; did you mean 'label'?"));
  CHECK(error("path,label,camera\n0.png,0,3\n").empty());

  // Rows are counted as a spreadsheet does: blank ones too, a line break within quotes not.
  for (const char* text : {"path\n\n\n0.png\nnone.png\n", "path\r\n\r\n\r\n0.png\r\nnone.png\r\n",
                           "\"path\"\r\r\r0.png\rnone.png", "path,note\n0.png,\"a\nb\"\n\n\nnone.png,x"})
    CHECK(one_line_with(error(text), "list.csv: row 5: "));
  CHECK(one_line_with(error("path\n\n0.png\n\n0.png\n"), "row 5 names"));
  CHECK(one_line_with(error("path\n\n0.png\n\n0.png\n"), "which row 3 has named already"));
  CHECK(one_line_with(error("path,label\n\n\n0.png\n"), "row 4 has 1 field, but the first has 2"));

  CHECK(error("path,label,split\n0.png,0,test\nx.png,maybe,test\n").empty());  // eval trains on nothing
  const Dataset judged = read_dataset(list);
  CHECK(judged.categories.at(0).train.empty());
  CHECK(summary(judged.categories[0].test) == "good/0 maybe/x");
  REQUIRE(judged.notes.size() == 1);
  CHECK(
      one_line_with(judged.notes[0], "list.csv: column 'label': taken as names of defects: 'maybe' (row 3)"));
}

TEST_CASE("layout: what is no file is named as what it is") {
  Tree tree;
  tree.add({"0.png"});
  REQUIRE(mkfifo((tree.root / "pipe.png").c_str(), 0600) == 0);
  fs::create_symlink("loop.png", tree.root / "loop.png");
  const auto mask_error = [&](const std::string& mask) {
    write_file(tree.root / "list.csv", "path,label,mask\n0.png,bad," + mask + "\n");
    return input_error([&] { read_dataset(tree.root / "list.csv"); });
  };
  CHECK(one_line_with(mask_error("pipe.png"),
                      "row 2: mask: " + (tree.root / "pipe.png").string() + ": not a regular file"));
  CHECK(one_line_with(mask_error("loop.png"), "loop.png: Too many levels of symbolic links"));
  CHECK(one_line_with(mask_error("none.png"), "none.png: no such file"));
}

TEST_CASE("layout: a CSV's masks that are missing beside others are said") {
  Tree tree;
  tree.add({"1.png", "2.png", "3.png", "m.png"});
  write_file(tree.root / "list.csv", "path,label,mask\n1.png,good,\n2.png,bad,m.png\n3.png,bad,\n");
  const std::vector<std::string> notes = read_dataset(tree.root / "list.csv").notes;
  REQUIRE(notes.size() == 1);
  CHECK(one_line_with(notes[0], "no metrics of pixels: 1: "));
}

}  // namespace dinomaly
