package notify_test

import (
	"fmt"
	"time"

	"github.com/repod-io/repod/aptrepo/notify"
)

func ExamplePasswordReset() {
	mail, err := notify.PasswordReset{
		To: "jsmith@example.com", Username: "jsmith", PublicURL: "https://repo.example.com",
		Token: "abc", Expires: time.Date(2026, 5, 12, 10, 30, 0, 0, time.UTC),
	}.Mail()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(mail.Subject)
	fmt.Print(mail.Text)
	// Output:
	// Reset your password
	// Hello jsmith,
	//
	// somebody asked to reset the password of your account. To set a new one, open
	//
	// https://repo.example.com/ui/reset-password?token=abc
	//
	// The link works once, until 2026-05-12 10:30 UTC (30 minutes). If it was not you who
	// asked, ignore this mail: your password stays as it is.
}
