# Completions of coderclaw for PowerShell. They are asked of the program itself, and so fit its version and your logins.
Register-ArgumentCompleter -Native -CommandName 'coderclaw' -ScriptBlock {
    param($current, $ast, $cursor)
    $words = @($ast.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursor } | ForEach-Object {
        if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value } else { $_.Extent.Text }
    })
    if ($words.Count -eq 0) { return }
    $before = @($words | Select-Object -Skip 1)
    $found = @(& $words[0] complete "--word=$current" '--' @before 2>$null)
    if ($found.Count -eq 0 -or $found[0] -ne 'values') { return }
    $found | Select-Object -Skip 1 | ForEach-Object {
        $value, $about = $_ -split "`t", 2
        # No name in a store may mean anything to the shell.
        $typed = if ($value -match '^[\w./:+-][\w./:@=,+#-]*$') { $value } else { "'" + ($value -replace "'", "''") + "'" }
        $tip = if ($about) { $about } else { $value }
        [System.Management.Automation.CompletionResult]::new($typed, $value, 'ParameterValue', $tip)
    }
}
