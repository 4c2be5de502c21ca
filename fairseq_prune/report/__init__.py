"""Reports: tables, figures and a page, from what evaluations left on disk; no fairseq needed."""
