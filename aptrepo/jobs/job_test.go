package jobs

import "testing"

func TestIDs(t *testing.T) {
	for n, want := range map[int64]string{1: "job_000001", 61: "job_00000z", 62: "job_000010", 1<<63 - 1: "job_AzL8n0Y58m7"} {
		if got := formatID(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
		if got, ok := parseID(want); !ok || got != n {
			t.Errorf("%s is %d, %t", want, got, ok)
		}
	}
	for _, id := range []string{
		"", "job_", "job_000000", "job_1", "000001", "JOB_000001", "job_0000001", "job_00000-", "job_00000é",
		"job_AzL8n0Y58m8", "job_zzzzzzzzzzz", "job_000001 ", "job_000001\x00",
	} {
		if n, ok := parseID(id); ok {
			t.Errorf("%q is %d", id, n)
		}
	}
}
