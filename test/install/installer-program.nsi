; Stands in for the program in tests of the installer: notes how it is called in calls.txt beside it. Built with -DOUT=FILE.
Target amd64-unicode
Unicode true
!include FileFunc.nsh
Name "program"
OutFile "${OUT}"
RequestExecutionLevel user
SilentInstall silent
!macro NOTE WORD
  FileOpen $1 "$EXEDIR\calls.txt" a
  FileSeek $1 0 END
  FileWrite $1 "${WORD} $0$\n"
  FileClose $1
!macroend
Section
  ${GetParameters} $0
  !insertmacro NOTE begin
  StrCmp $0 "hang" 0 +2
    Sleep 600000
  Sleep 1000
  !insertmacro NOTE end
  IfFileExists "$EXEDIR\fail.txt" 0 +2
    SetErrorLevel 1
SectionEnd
